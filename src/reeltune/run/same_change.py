"""Whether what was written does what the adapter does: layers are asked with a few random inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import linear

from reeltune.adapters.changes import Base, Change, uses_product
from reeltune.adapters.layouts import WeightOf, size_of
from reeltune.errors import CheckpointError

PROBES = 4
SUMS = 1e-5
"""Relative error of two ways to sum some thousand float32 products, with room."""
FACTORS = 4
"""Tensors that are multiplied in one change, at most; each may be rounded once."""


def compare(
    path: Path,
    wanted: Mapping[str, Change],
    read: Mapping[str, Change],
    *,
    number_type: torch.dtype,
    weight_of: WeightOf | None,
) -> float:
    """Return how far the changes in a file are from those that were wanted, as a share of them, all layers together.

    number_type: of the file's tensors. weight_of: of the base; without it kinds that multiply its weights are asked
    with random ones. Raises CheckpointError for other layers, or more than rounding between the two.
    """
    for name in sorted(wanted.keys() ^ read.keys()):
        raise CheckpointError(f"{path}: layer {name} is in the file or in the adapter, but not in both")
    rounding = 0.0 if number_type == torch.float32 else FACTORS * unit_roundoff(number_type)
    off = whole = 0.0
    for name, change in wanted.items():
        base = _probe(change, weight_of(name) if weight_of else None)
        live = change.added(base)
        error, size = (read[name].added(base) - live).norm().item(), live.norm().item()
        allowed = (SUMS + rounding) * (size + (base.product.norm().item() if uses_product(change) else 0.0))
        require_within(path, name, error, allowed)
        off, whole = off + error**2, whole + size**2
    return math.sqrt(off / whole) if whole else 0.0


def require_within(path: Path, name: str, error: float, allowed: float) -> None:
    """Raise CheckpointError for an error that is no rounding."""
    if not error <= allowed:
        raise CheckpointError(
            f"{path}: layer {name} is changed otherwise than by the adapter: the two are {error:.1e} apart, and "
            f"rounding explains {allowed:.1e}. Nothing was kept; please report it."
        )


def unit_roundoff(number_type: torch.dtype) -> float:
    """Return the largest relative error of rounding a number to a type."""
    return torch.finfo(number_type).eps / 2


def _probe(change: Change, weight: Tensor | None) -> Base:
    """Return random inputs to a layer with its base's weight, or with a random one of unit gain."""
    generator = torch.Generator().manual_seed(0)
    plain = _random_weight(change, generator) if weight is None else weight.float()
    x = torch.randn(PROBES, plain.shape[1], generator=generator)
    return Base(x, linear(x, plain), apply=lambda other: linear(other, plain), weight=lambda: plain)


def _random_weight(change: Change, generator: torch.Generator) -> Tensor:
    """Return a weight that a change may be one of; square where the change does not tell the other side."""
    outputs, inputs = size_of(change)
    outputs, inputs = outputs or inputs, inputs or outputs
    assert outputs
    assert inputs
    return torch.randn(outputs, inputs, generator=generator) / inputs**0.5
