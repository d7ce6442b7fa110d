"""The weights of a component: whether they are the ones that its module needs, and into it without a second copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_module_tensor_to_device
from safetensors import safe_open
from torch import nn

from reeltune.errors import ModelError, listed
from reeltune.families.sources import Source, component_folder, read_config
from reeltune.families.weight_files import (
    Shape,
    file_problems,
    read_header,
    variant_there,
    variants_alone,
    weight_files,
)

Build = Callable[[dict[str, Any]], nn.Module]
"""Makes the module that a configuration describes."""

_NAMED = 3
"""Tensors that are named in a message; of the others only the number is given."""


def weights_folder(source: Source, build: Build, *, variant: str | None = None) -> Path:
    """Return the folder of a component after making sure that every weight of its module is there, whole.

    build: is called on the meta device, where nothing is allocated. variant: of the weights, as in
    `model.fp16.safetensors`; a folder may be without.
    Raises ModelError, naming every file or tensor that is missing, cut short or of another shape.
    """
    folder = component_folder(source)
    if not any(folder.glob("*.safetensors*")):
        raise ModelError(f"{folder} holds no *.safetensors weights. {_again(source)}")
    variant = variant_there(folder, variant)
    if only := variants_alone(folder, variant):
        raise ModelError(f"{folder} holds weights of variant {' and '.join(only)} only. Type: variant={only[0]}")
    if problems := file_problems(folder, variant):
        raise ModelError(f"{listed(str(folder), problems)}\n{_again(source)}")
    module = blank(build, read_config(folder), str(folder / "config.json"))
    check_tensors(
        _shapes(folder, variant), module, where=f"{folder} does not fit its config.json", advice=_again(source)
    )
    return folder


def check_tensors(found: Mapping[str, Shape], module: nn.Module, *, where: str, advice: str) -> None:
    """Compare what files hold with what a module needs; weights that are tied are needed under one name only.

    where: what the files belong to. advice: how to get right ones. Raises ModelError.
    """
    state = module.state_dict(keep_vars=True)
    there = {id(tensor) for name, tensor in state.items() if name in found}
    missing = [f"{name} is in none of the files" for name, tensor in state.items() if id(tensor) not in there]
    reshaped = [
        f"{name} has shape {list(found[name])} instead of {list(tensor.shape)}"
        for name, tensor in state.items()
        if name in found and found[name] != tuple(tensor.shape)
    ]
    if missing or reshaped:
        raise ModelError(f"{listed(where, shortened(missing) + shortened(reshaped))}\n{advice}")


def read_tensors(
    module: nn.Module,
    files: Sequence[Path],
    *,
    device: torch.device,
    number_type: Callable[[str], torch.dtype],
    name_in_file: Callable[[str], str] = str,
) -> None:
    """Fill a module, whose parameters may be on the meta device, tensor by tensor from files.

    number_type, name_in_file: of a tensor by its name in the module. Host memory: what stays on the host, and the file
    that is being read. Tensors that the module does not have are left out. Raises ValueError when one of the module's
    own is in no file.
    """
    names = {name_in_file(name): name for name in module.state_dict()}
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for written in names.keys() & set(tensors.keys()):
                name = names[written]
                # A copy even where nothing changes: a view would keep the whole file mapped.
                value = tensors.get_tensor(written).to(device, number_type(name), copy=True)
                set_module_tensor_to_device(module, name, device, value=value, dtype=value.dtype)
    unfilled = sorted(name for name, tensor in module.state_dict().items() if tensor.is_meta)
    if unfilled:
        raise ValueError(f"{', '.join(shortened(unfilled))} not found in the files")


def blank(build: Build, config: dict[str, Any], origin: str) -> nn.Module:
    """Return the module of a configuration, without values. origin: where it was read. Raises ModelError."""
    try:
        with torch.device("meta"):
            return build(config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{origin} describes no model that can be built: {error}") from error


def shortened(problems: list[str]) -> list[str]:
    """Return the first problems of a kind, and how many more there are."""
    rest = len(problems) - _NAMED
    return problems if rest <= 0 else [*problems[:_NAMED], f"and {rest} more of this kind"]


def _shapes(folder: Path, variant: str | None) -> dict[str, Shape]:
    """Return the shape of every tensor in the folder's files."""
    return {name: shape for file in weight_files(folder, variant) for name, shape in read_header(file).shapes.items()}


def _again(source: Source) -> str:
    """Say how to fetch a component again: forced, for the hub's cache takes the file that it has for whole."""
    files = f'--include "{source.folders[0]}/*" ' if source.folders[0] else ""
    if not source.path.is_dir():
        return f"Fetch it again: hf download {source.place} {files}--force-download"
    command = f"hf download OWNER/NAME {files}--local-dir {source.path} --force-download"
    return f"Fetch it again from where it came: {command}"
