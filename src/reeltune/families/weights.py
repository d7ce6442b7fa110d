"""The weights of a component: whether they are the ones that its module needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reeltune.errors import ModelError, listed
from reeltune.families.formats import PICKLED, pickled_advice
from reeltune.families.sources import Source, component_folder, read_config
from reeltune.families.weight_files import (
    Shape,
    file_problems,
    read_header,
    shortened,
    variant_there,
    variants_alone,
    weight_files,
)

Build = Callable[[dict[str, Any]], nn.Module]
"""Makes the module that a configuration describes."""


def weights_folder(source: Source, build: Build, *, variant: str | None = None, beside: Sequence[str] = ()) -> Path:
    """Return the folder of a component after making sure that every weight of its module is there, whole.

    build: is called on the meta device, where nothing is allocated. variant: of the weights, as in
    `model.fp16.safetensors`; a folder may be without. beside: patterns of names that the files may hold besides.
    Raises ModelError, naming every file or tensor that is missing, cut short, of another shape or superfluous.
    """
    folder = component_folder(source)
    if not any(folder.glob("*.safetensors*")):
        raise ModelError(_none_there(folder, _again(source)))
    variant = variant_there(folder, variant)
    if only := variants_alone(folder, variant):
        raise ModelError(f"{folder} holds weights of variant {' and '.join(only)} only. Type: variant={only[0]}")
    if problems := file_problems(folder, variant):
        raise ModelError(f"{listed(str(folder), problems)}\n{_again(source)}")
    module = blank(build, read_config(folder), str(folder / "config.json"))
    check_tensors(
        _shapes(folder, variant),
        module,
        where=f"{folder} does not fit its config.json",
        advice=_again(source),
        beside=beside,
    )
    return folder


def check_tensors(
    found: Mapping[str, Shape],
    module: nn.Module,
    *,
    where: str,
    advice: str,
    beside: Sequence[str] = (),
    name_in_file: Callable[[str], str] = str,
) -> None:
    """Compare what files hold with what a module needs; weights that are tied are needed under one name only.

    found: shapes by the files' names. where: what the files belong to. advice: how to get right ones. beside: patterns
    of names that may be there without a place in the module; the libraries name some with their classes.
    name_in_file: of a tensor by its name in the module. Raises ModelError, which calls tensors as the files do.
    """
    state = {name_in_file(name): tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    there = {id(tensor) for name, tensor in state.items() if name in found}
    harmless = (*beside, *(getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()))
    missing = [f"{name} is in none of the files" for name, tensor in state.items() if id(tensor) not in there]
    reshaped = [
        f"{name} has shape {list(found[name])} instead of {list(tensor.shape)}"
        for name, tensor in state.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    superfluous = [
        f"{name} has no place in the model"
        for name in sorted(found.keys() - state.keys())
        if not any(re.search(pattern, name) for pattern in harmless)
    ]
    if problems := [*shortened(missing), *shortened(reshaped), *shortened(superfluous)]:
        raise ModelError(f"{listed(where, problems)}\n{advice}")


def require_finite(name: str, value: Tensor) -> None:
    """Raise ValueError for a tensor with a value that is not finite: one such number spreads to every output.

    Smallest and largest tell, in a pass that takes 0.5 s for a gigabyte on one core of a CPU.
    """
    if not all(bool(bound.isfinite()) for bound in torch.aminmax(value)):
        raise ValueError(
            f"{name} holds values that are NaN or infinite; get the file again, or an earlier version of it"
        )


def blank(build: Build, config: dict[str, Any], origin: str) -> nn.Module:
    """Return the module of a configuration, without values. origin: where it was read. Raises ModelError."""
    try:
        with torch.device("meta"):
            return build(config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{origin} describes no model that can be built: {error}") from error


def _shapes(folder: Path, variant: str | None) -> dict[str, Shape]:
    """Return the shape of every tensor in the folder's files."""
    return {name: shape for file in weight_files(folder, variant) for name, shape in read_header(file).shapes.items()}


def _none_there(folder: Path, again: str) -> str:
    """Say that a folder holds no weights that are read, and what to do about those that it holds."""
    pickled = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICKLED)
    return pickled_advice(pickled[0]) if pickled else f"{folder} holds no *.safetensors weights. {again}"


def _again(source: Source) -> str:
    """Say how to fetch a component again: forced, for the hub's cache takes the file that it has for whole."""
    files = f'--include "{source.folders[0]}/*" ' if source.folders[0] else ""
    if not source.path.is_dir():
        return f"Fetch it again: hf download {source.place} {files}--force-download"
    command = f"hf download OWNER/NAME {files}--local-dir {source.path} --force-download"
    return f"Fetch it again from where it came: {command}"
