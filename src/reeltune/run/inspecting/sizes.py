"""How large changes are: the Frobenius norm of D = W' - W, layer by layer, without building D where a formula allows.

Some kinds multiply the base's own weights. Of those the file alone tells a part: how large a share of the weights
changes on average, or the size of what does not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reeltune.adapters.changes import (
    Butterfly,
    Change,
    Decomposed,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
    matrix_of,
)
from reeltune.adapters.layouts import Stretched, size_of
from reeltune.contracts.adapter_report import Strength

FEW_PAIRS = 256
"""Pairs of ranks up to which a product in (pairs, pairs) is less work than D."""


@dataclass(frozen=True)
class Measured:
    """The change of one layer. base: the Frobenius norm of the layer's own weight, where the base was looked at."""

    strength: Strength
    base: float | None = None


def measured_alone(change: Change) -> Measured:
    """Return how large a change is as far as its file tells."""
    change = change.inner if isinstance(change, Decomposed | Stretched) else change
    if find := SHARES.get(type(change)):
        return Measured(Strength(None, find(change)))
    return Measured(Strength(SIZES[type(change)](change), None))


def measured_on(change: Change, weight: Tensor) -> Measured:
    """Return how large a change is on the weight (out, in) that it is made for."""
    find = None if type(change) in PARTS else SIZES.get(type(change))
    size, base = find(change) if find else _norm(matrix_of(change, weight)), _norm(weight)
    return Measured(Strength(size, size / base if base else None), base)


def together(parts: list[Measured]) -> Strength:
    """Return the change of several layers as one: norms add up as the sides of a box do."""
    sizes = [part.strength.size for part in parts]
    shares = [part.strength.share for part in parts]
    bases = [part.base for part in parts]
    size = _root_of_squares(sizes)
    if None not in bases and size is not None:
        whole = _root_of_squares(bases)
        return Strength(size, size / whole if whole else None)
    root = _root_of_squares(shares)
    return Strength(size, None if root is None else root / math.sqrt(len(parts)))


def explained(kinds: set[type[Change]]) -> str:
    """Say how sizes of these kinds are to be understood that were told from the file alone."""
    return " ".join(dict.fromkeys(text for kind, text in PARTS.items() if kind in kinds))


_OF_DORA = "Sizes are of the low-rank part; with --base MODEL what DoRA's lengths do is in them."

PARTS: Mapping[type, str] = {
    Decomposed: _OF_DORA,
    Stretched: _OF_DORA,
    Generalized: "Sizes are of what GLoRA adds; with --base MODEL what multiplies the base's weights is in them.",
    Scaling: "Shares of (IA)³ are means of its factors; with --base MODEL they are exact.",
    Rotation: "Shares of OFT are means over all directions; with --base MODEL they are exact.",
    Butterfly: "Shares of BOFT are means over all directions; with --base MODEL they are exact.",
}


def _low_rank(change: LowRank) -> float:
    """||up down||² = trace((upᵀ up)(down downᵀ)), in float64: only (r, r) matrices are built."""
    return abs(change.scale) * _norm_of_product(change.up, change.down)


def _kronecker(change: Kronecker) -> float:
    """||kron(left, right)|| = ||left|| ||right||."""
    return abs(change.scale) * _norm_of_factor(change.left) * _norm_of_factor(change.right)


def _hadamard(change: Hadamard) -> float:
    """The element-wise product of two low-rank matrices is one of as many ranks as pairs; with few, D is not built."""
    if change.a1.shape[1] * change.a2.shape[1] > FEW_PAIRS:
        return _built(change)
    up = (change.a1[:, :, None] * change.a2[:, None, :]).flatten(1)
    down = (change.b1[:, None, :] * change.b2[None, :, :]).flatten(0, 1)
    return abs(change.scale) * _norm_of_product(up, down)


def _generalized(change: Generalized) -> float:
    return abs(change.scale) * _norm_of_product(change.b1, change.b2)


def _built(change: Change) -> float:
    """Build D, which needs nothing of the base's weight but its number type and its shape."""
    outputs, inputs = size_of(change)
    assert outputs
    assert inputs
    return _norm(matrix_of(change, torch.zeros(()).expand(outputs, inputs)))


SIZES: Mapping[type, Callable[[Any], float]] = {
    LowRank: _low_rank,
    Kronecker: _kronecker,
    Dense: _built,
    Hadamard: _hadamard,
    Generalized: _generalized,
}


def _mean_factor(change: Scaling) -> float:
    """||diag(f) W|| / ||W|| for a W without direction."""
    return float(change.factors.double().square().mean().sqrt())


def _mean_turn(change: Rotation | Butterfly) -> float:
    """||(R - I) W|| / ||W|| for a W without direction: found with the unit matrix."""
    outputs = change.blocks.shape[-3] * change.blocks.shape[-1]
    return _norm(matrix_of(change, torch.eye(outputs))) / math.sqrt(outputs)


SHARES: Mapping[type, Callable[[Any], float]] = {Scaling: _mean_factor, Rotation: _mean_turn, Butterfly: _mean_turn}


def _norm(matrix: Tensor) -> float:
    return float(torch.linalg.vector_norm(matrix, dtype=torch.float64))


def _norm_of_factor(factor: Tensor | tuple[Tensor, Tensor]) -> float:
    return _norm(factor) if isinstance(factor, Tensor) else _norm_of_product(*factor)


def _norm_of_product(first: Tensor, second: Tensor) -> float:
    one, other = first.double(), second.double()
    return math.sqrt(max(0.0, float(((one.T @ one) * (other @ other.T)).sum())))


def _root_of_squares(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.sqrt(sum(value * value for value in known)) if len(known) == len(values) else None
