"""Wan's transformer: the diffusers class, filled from its files without a second copy in memory."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel

from reeltune.errors import ModelError
from reeltune.families.filling import read_tensors
from reeltune.families.fingerprint import fingerprint
from reeltune.families.loading import frozen, reported_loading
from reeltune.families.quantizing import UNCHANGED, Quantizing
from reeltune.families.rounding import ReadWeight
from reeltune.families.sources import Source, read_config
from reeltune.families.stored_tensors import StoredTensors
from reeltune.families.wan.description import FACTS
from reeltune.families.wan.single_file import SingleFile
from reeltune.families.weight_files import variant_there, weight_files, whole_again
from reeltune.families.weights import blank, check_tensors, weights_folder
from reeltune.quantize.rules import quantized_names

log = logging.getLogger(__name__)

_KEPT_IN_FLOAT32 = frozenset(WanTransformer3DModel._keep_in_fp32_modules or ())
_build = WanTransformer3DModel.from_config


def find_transformer(source: Source, file: SingleFile | None, *, variant: str | None) -> Path | SingleFile:
    """Return the transformer's folder, or its one file, after making sure that every weight is there, whole.

    Raises ModelError.
    """
    if file:
        _check_file(file)
        return file
    folder = weights_folder(source, _build, variant=variant)  # pyright: ignore[reportArgumentType]
    if variant_there(folder, variant) != variant:
        raise ModelError(f"{folder} has no weights of variant {variant}. Unset variant to take those that it has.")
    return folder


def load_transformer(
    transformer: Path | SingleFile,
    *,
    variant: str | None = None,
    device: torch.device,
    dtype: torch.dtype,
    quantizing: Quantizing = UNCHANGED,
) -> WanTransformer3DModel:
    """Return the frozen transformer of a folder or a single file on the device, equal to what diffusers loads.

    dtype: of all but the parts that diffusers keeps in float32. quantizing: of the linear layers of the blocks.
    Raises ModelError.
    """
    # `from_pretrained` keeps views of the files for parts whose number type does not change. On the host one such part
    # keeps a whole file mapped, so that a float32 checkpoint stays in memory beside its bfloat16 copy.
    file = transformer if isinstance(transformer, SingleFile) else None
    place = transformer.path if isinstance(transformer, SingleFile) else transformer
    with reported_loading("transformer", place, quantizing.precision):
        with init_empty_weights():
            module = _build(file.config() if file else read_config(place))
        assert isinstance(module, WanTransformer3DModel)
        read_tensors(
            module,
            [place] if file else weight_files(place, variant),
            device=device,
            number_type=lambda name: number_type(name, dtype),
            name_in_file=file.name_of if file else str,
            quantizing=quantizing,
            quantized=quantized_names(module, FACTS.blocks),
        )
    if file:
        _tell_left_out(file)
    # What is in no file, the tables of the rotary embedding, follows.
    return frozen(module, device)


def original_weights(transformer: Path | SingleFile, *, variant: str | None = None) -> ReadWeight:
    """Return what reads the weight of a layer, by the layer's name, as the files have it."""
    if isinstance(transformer, SingleFile):
        stored, name_of = StoredTensors([transformer.path]), transformer.name_of
    else:
        stored, name_of = StoredTensors(weight_files(transformer, variant)), str
    return lambda layer, device, dtype: stored.read(name_of(f"{layer}.weight"), device, dtype)


def name_of_content(transformer: Path | SingleFile, variant: str | None) -> str:
    """Name a transformer by its content: the same for a file wherever it lies."""
    if isinstance(transformer, SingleFile):
        return fingerprint(transformer.path)
    there = variant_there(transformer, variant)
    return fingerprint(transformer) + (f"-{there}" if there else "")


def number_type(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type of a parameter on a base of `dtype`: float32 for the parts that diffusers keeps in it."""
    return torch.float32 if _KEPT_IN_FLOAT32.intersection(name.split(".")) else dtype


def _check_file(file: SingleFile) -> None:
    check_tensors(
        file.own_shapes(),
        blank(_build, file.config(), str(file.path)),  # pyright: ignore[reportArgumentType]
        where=f"{file.path} is no Wan 2.1 text-to-video transformer, whole and without additions",
        advice=whole_again(file.path),
        name_in_file=file.name_of,
    )


def _tell_left_out(file: SingleFile) -> None:
    """Say which other parts of a pipeline lie in the file; they are taken from the base model all the same."""
    if left_out := file.other_names():
        parts = sorted({name.partition(".")[0] for name in left_out})
        log.info("%s: %d tensors of other parts are not used: %s", file.path, len(left_out), ", ".join(parts))
