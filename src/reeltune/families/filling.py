"""Weights from files into a module, layer by layer, without a second copy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import torch
from accelerate.utils import set_module_tensor_to_device
from torch import Tensor, nn

from reeltune.families.quantizing import UNCHANGED, Quantizing
from reeltune.families.stored_tensors import StoredTensors
from reeltune.families.weight_files import shortened
from reeltune.families.weights import require_finite


def read_tensors(
    module: nn.Module,
    files: Sequence[Path],
    *,
    device: torch.device,
    number_type: Callable[[str], torch.dtype],
    name_in_file: Callable[[str], str] = str,
    quantizing: Quantizing = UNCHANGED,
    quantized: Collection[str] = (),
) -> None:
    """Fill a module, whose parameters are on the meta device, tensor by tensor from files.

    number_type, name_in_file: of a tensor by its name in the module. quantized: names of the linear layers that are
    quantized, each as soon as it is there. Host memory: what stays on the host, and the layer that is being read.
    Tensors that the module does not have are left out; one that is in no file is taken from one that it is tied to.
    Raises ValueError when one of the module's own is not to be found.
    """
    stored, blank = StoredTensors(files), module.state_dict(keep_vars=True)
    to_quantize = frozenset(quantized) if quantizing.active else frozenset()
    for layer, names in _layers(blank, stored, name_in_file):
        place = quantizing.first_place(device) if layer in to_quantize else device
        for name in names:
            value = stored.read(name_in_file(name), place, number_type(name))
            require_finite(name_in_file(name), value)
            set_module_tensor_to_device(module, name, place, value=value, dtype=value.dtype)
        if layer in to_quantize:
            quantizing.finish(module, layer, device)
    _tie(module, blank)
    unfilled = sorted(name for name, tensor in module.state_dict().items() if tensor.is_meta)
    if unfilled:
        raise ValueError(f"{', '.join(shortened(unfilled))} not found in the files")


def _layers(
    blank: Mapping[str, Tensor], stored: StoredTensors, name_in_file: Callable[[str], str]
) -> list[tuple[str, list[str]]]:
    """Return the names of the tensors that are in files, by the layer that they belong to, in the files' order."""
    places = {name: stored.place_of(name_in_file(name)) for name in blank if name_in_file(name) in stored}
    layers: dict[str, list[str]] = {}
    for name in sorted(places, key=places.__getitem__):
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return list(layers.items())


def _tie(module: nn.Module, blank: Mapping[str, Tensor]) -> None:
    """Let tensors that were one before they were filled be one again, unless the files have other values for each."""
    tied: dict[int, list[str]] = {}
    for name, tensor in blank.items():
        tied.setdefault(id(tensor), []).append(name)
    for names in (several for several in tied.values() if len(several) > 1):
        filled = [name for name in names if not _tensor(module, name).is_meta]
        for name in names:
            if filled and (name not in filled or torch.equal(_tensor(module, name), _tensor(module, filled[0]))):
                _put(module, name, _tensor(module, filled[0]))


def _tensor(module: nn.Module, name: str) -> Tensor:
    layer, _, last = name.rpartition(".")
    return getattr(module.get_submodule(layer), last)


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    layer, _, last = name.rpartition(".")
    setattr(module.get_submodule(layer), last, tensor)
