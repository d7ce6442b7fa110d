"""An adapter merged into its base: a whole transformer that needs no adapter any more, proven to be their sum."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from reeltune.adapters.agreement import exact_products, float32_noise
from reeltune.adapters.changes import Change, matrix_of
from reeltune.adapters.full_files import COMFYUI_PREFIX, model_metadata
from reeltune.adapters.layers import exact_base, layers_of, linear_of
from reeltune.adapters.layouts import AdapterFile, check_fit
from reeltune.adapters.merge import bias_of, merge
from reeltune.adapters.transformer_files import save_single_file, save_transformer
from reeltune.contracts.adapter_report import Exported
from reeltune.contracts.progress import Track
from reeltune.errors import ConfigError
from reeltune.families.opening import base_fingerprint, name_in_release, number_type_of, open_transformer, stored_type
from reeltune.run.adapter_files.base_model import base_options
from reeltune.run.exporting.agreement import half_an_ulp, otherwise
from reeltune.run.exporting.convert import about_of
from reeltune.run.exporting.names import MERGED
from reeltune.run.preflight import require_room
from reeltune.whole_files import whole_file, whole_folder

log = logging.getLogger(__name__)

_PROBES = 4
_NOISE = 2**-22
"""Relative error of summing two float32 numbers, with room for a product that was summed in another order."""


def export_merged(
    file: AdapterFile,
    output: Path,
    *,
    format: str,
    base: str,
    strength: float,
    number_type: torch.dtype | None,
    track: Track,
) -> Exported:
    """Write base + strength * adapter as a whole transformer, and make sure that it is that.

    number_type: None is the base's own. Each weight is summed in float32 and rounded once.
    Raises ModelError where the adapter does not fit, ShortageError where the disk has no room.
    """
    options = base_options(base)
    _tell_another_base(file, base, base_fingerprint(options))
    own = stored_type(options)
    transformer = open_transformer(options, dtype=own)
    check_fit(file, layers_of(transformer))
    type_of = {name: number_type_of(options, name, number_type or own) for name, _ in transformer.named_parameters()}
    require_room(output.parent, _bytes(transformer, type_of), "the merged transformer")
    off = whole = 0.0
    for name, change in track(file.changes.items(), "merging", len(file.changes), "layers"):
        lost, size = merge_one(transformer, name, change, strength, type_of, output)
        off, whole = off + lost**2, whole + size**2
    _round_the_rest(transformer, type_of)
    metadata = model_metadata(about_of(file))
    if format == MERGED:
        with whole_folder(output) as draft:
            save_transformer(draft, transformer, metadata=metadata)
    else:
        with whole_file(output) as draft:
            save_single_file(
                draft, transformer, lambda name: COMFYUI_PREFIX + name_in_release(options, name), metadata=metadata
            )
    return Exported(
        str(output),
        format=format,
        base=base,
        changed=len(file.changes),
        error=math.sqrt(off / whole) if whole else 0.0,
        number_type=str(number_type or own).removeprefix("torch."),
        size_bytes=sum(path.stat().st_size for path in [output, *output.rglob("*")] if path.is_file()),
        transformer_class=type(transformer).__name__,
    )


def _tell_another_base(file: AdapterFile, base: str, fingerprint: str) -> None:
    """Warn when the adapter names another base than the one that it is merged into."""
    trained_on = file.about.get("base_fingerprint")
    if trained_on and trained_on != fingerprint:
        log.warning("%s was trained on another base than %s: its fingerprint is %s", file.path, base, trained_on)


@torch.no_grad()
def merge_one(
    transformer: nn.Module,
    name: str,
    change: Change,
    strength: float,
    type_of: Mapping[str, torch.dtype],
    output: Path,
) -> tuple[float, float]:
    """Merge the change of one layer; return what rounding took of it, and its size, as Frobenius norms.

    type_of: the number type of each parameter in the result. Raises CheckpointError where a weight or a bias is not its
    sum rounded once, or where the matrix that was added does not do what the change does.
    """
    layer = linear_of(transformer, name)
    before = {part: tensor.detach().float().clone() for part, tensor in layer.named_parameters()}
    _require_matrix(layer, name, change, output)
    # In float32 first, also where the base is in another type than the result: rounded once, at the end.
    layer.float()
    merge(transformer, {name: change}, strength=strength)
    lost = size = 0.0
    for part, tensor in layer.named_parameters():
        tensor.data = _rounded(f"{name}.{part}", tensor.data, type_of)
        added = strength * _added_to(part, change, before[part])
        off = tensor.float() - (before[part] + added)
        _require_sum(output, f"{name}.{part}", off, before[part], added, tensor.dtype)
        lost, size = lost + off.norm().item() ** 2, size + added.norm().item() ** 2
    return math.sqrt(lost), math.sqrt(size)


def _added_to(part: str, change: Change, before: Tensor) -> Tensor:
    """Return what a change adds to one parameter of its layer: nothing, but for full differences, to the bias."""
    added = matrix_of(change, before) if part == "weight" else bias_of(change)
    return torch.zeros_like(before) if added is None else added.to(before)


def _require_matrix(layer: nn.Linear, name: str, change: Change, output: Path) -> None:
    """Raise CheckpointError where the matrix of a change does not to a few inputs what the change does when it acts."""
    x = torch.randn(_PROBES, layer.in_features, generator=torch.Generator().manual_seed(0))
    with exact_products():
        base = exact_base(layer, x)
        added = change.added(base)
        product = linear(x, matrix_of(change, base.weight()), bias_of(change))
        error, allowed = (product - added).norm().item(), float32_noise(change, base, added)
    if not error <= allowed:
        raise otherwise(output, name, f"its matrix is {error:.1e} off, and float32 explains {allowed:.1e}")


def _require_sum(output: Path, name: str, off: Tensor, before: Tensor, added: Tensor, number_type: torch.dtype) -> None:
    """Raise CheckpointError where any number is further from the sum than rounding it once to its type."""
    noise = _NOISE * (before.abs() + added.abs())
    if not bool((off.abs() <= half_an_ulp(before + added, number_type) + noise).all()):
        raise otherwise(output, name, f"it is not the sum of base and adapter, rounded to {number_type}")


def _round_the_rest(transformer: nn.Module, type_of: Mapping[str, torch.dtype]) -> None:
    for name, parameter in transformer.named_parameters():
        parameter.data = _rounded(name, parameter.data, type_of)


def _rounded(name: str, tensor: Tensor, type_of: Mapping[str, torch.dtype]) -> Tensor:
    rounded = tensor.to(type_of[name])
    if not rounded.isfinite().all():
        raise ConfigError(f"{name} holds numbers that are too large for {type_of[name]}. Type: --dtype bf16")
    return rounded


def _bytes(transformer: nn.Module, type_of: Mapping[str, torch.dtype]) -> int:
    return sum(parameter.numel() * type_of[name].itemsize for name, parameter in transformer.named_parameters())
