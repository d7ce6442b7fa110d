"""Wan's autoencoder: found in a folder or a single file, checked whole, and loaded."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan

from reeltune.families.filling import read_tensors
from reeltune.families.loading import frozen, reported_loading
from reeltune.families.sources import Source, component_folder, read_config
from reeltune.families.wan.vae_file import VaeFile
from reeltune.families.wan.variants import refuse_other_autoencoders
from reeltune.families.weight_files import variant_there, weight_files, whole_again
from reeltune.families.weights import blank, check_tensors, weights_folder

_build = AutoencoderKLWan.from_config


def find_vae(source: Source, file: VaeFile | None, *, base: Source, variant: str | None) -> Path | VaeFile:
    """Return the autoencoder's folder, or its one file, after making sure that every weight is there, whole.

    base: where the base model has its own; a single file takes its configuration from there. Raises ModelError.
    """
    folder = component_folder(base if file else source, files="config.json")
    refuse_other_autoencoders(str(folder), read_config(folder))
    if file is None:
        return weights_folder(source, _build, variant=variant)  # pyright: ignore[reportArgumentType]
    file = file.with_config(read_config(folder))
    _check_file(file, folder)
    return file


def load_vae(
    vae: Path | VaeFile, device: torch.device, *, variant: str | None = None, dtype: torch.dtype = torch.float32
) -> AutoencoderKLWan:
    """Return the autoencoder, frozen, on the device, equal to what diffusers loads. variant: where a folder has it.

    Raises ModelError.
    """
    file = vae if isinstance(vae, VaeFile) else None
    place = vae.path if isinstance(vae, VaeFile) else vae
    names = file.names() if file else {}
    with reported_loading("autoencoder", place):
        with init_empty_weights():
            module = _build(dict(file.config) if file else read_config(place))
        assert isinstance(module, AutoencoderKLWan)
        read_tensors(
            module,
            [place] if file else weight_files(place, variant_there(place, variant)),
            device=device,
            number_type=lambda name: dtype,
            name_in_file=lambda name: names.get(name, name),
        )
    return frozen(module, device)


def _check_file(file: VaeFile, folder: Path) -> None:
    names = file.names()
    check_tensors(
        file.shapes,
        blank(_build, dict(file.config), str(folder / "config.json")),  # pyright: ignore[reportArgumentType]
        where=f"{file.path} does not fit {folder / 'config.json'}, the base model's",
        advice=f"An autoencoder of the same architecture is needed, whole. {whole_again(file.path)}",
        name_in_file=lambda name: names.get(name, f"{file.prefix}{name}"),
    )
