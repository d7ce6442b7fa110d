"""Whether what was written does what the adapter does: layers are asked with a few random inputs, in exact float32.

Rounding to a smaller number type is proven apart from that, number by number (`convert.rounded_tensors` and
`merged.require_sum`), so that no comparison here makes room for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import linear

from reeltune.adapters.agreement import exact_products, float32_noise
from reeltune.adapters.changes import Base, Change
from reeltune.adapters.layouts import WeightOf, size_of
from reeltune.errors import CheckpointError

_PROBES = 4


def require_same(
    path: Path, wanted: Mapping[str, Change], read: Mapping[str, Change], weight_of: WeightOf | None
) -> None:
    """Raise CheckpointError for changes in a file that are of other layers, or do anything else than those wanted.

    weight_of: of the base; without it kinds that multiply its weights are asked with random ones.
    """
    for name in sorted(wanted.keys() ^ read.keys()):
        raise CheckpointError(f"{path}: layer {name} is in the file or in the adapter, but not in both")
    for name, change in wanted.items():
        base = _probe(change, weight_of, name)
        error, added = _difference(change, read[name], base)
        allowed = float32_noise(change, base, added)
        if not error <= allowed:
            raise otherwise(path, name, f"the two are {error:.1e} apart, and float32 explains {allowed:.1e}")


def share_lost(wanted: Mapping[str, Change], read: Mapping[str, Change], weight_of: WeightOf | None) -> float:
    """Return how far changes are from those that were wanted, as a share of them, all layers together."""
    off = whole = 0.0
    for name, change in wanted.items():
        error, added = _difference(change, read[name], _probe(change, weight_of, name))
        off, whole = off + error**2, whole + added.norm().item() ** 2
    return math.sqrt(off / whole) if whole else 0.0


def otherwise(path: Path, name: str, how: str) -> CheckpointError:
    """Return the error for what was written, and is not what the adapter does. name: of a layer or a tensor."""
    return CheckpointError(
        f"{path}: {name} is changed otherwise than by the adapter: {how}. Nothing was kept; please report it."
    )


def half_an_ulp(number: Tensor, number_type: torch.dtype) -> Tensor:
    """Return by how much rounding may move each number: half the distance to its neighbors in a type."""
    about = torch.finfo(number_type)
    return number.abs().clamp_min(about.smallest_normal) * (about.eps / 2)


@torch.no_grad()
def _difference(wanted: Change, read: Change, base: Base) -> tuple[float, Tensor]:
    with exact_products():
        added = wanted.added(base)
        return (read.added(base) - added).norm().item(), added


def _probe(change: Change, weight_of: WeightOf | None, name: str) -> Base:
    """Return random inputs to a layer with its base's weight, or with a random one of unit gain."""
    generator = torch.Generator().manual_seed(0)
    plain = weight_of(name).float() if weight_of else _random_weight(change, generator)
    x = torch.randn(_PROBES, plain.shape[1], generator=generator)
    with exact_products():
        product = linear(x, plain)
    return Base(x, product, apply=lambda other: linear(other, plain), weight=lambda: plain)


def _random_weight(change: Change, generator: torch.Generator) -> Tensor:
    """Return a weight that a change may be one of; square where the change does not tell the other side."""
    outputs, inputs = size_of(change)
    outputs, inputs = outputs or inputs, inputs or outputs
    assert outputs
    assert inputs
    return torch.randn(outputs, inputs, generator=generator) / inputs**0.5
