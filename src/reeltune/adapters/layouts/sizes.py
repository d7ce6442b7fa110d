"""The size of the layer that a change is made for."""

from __future__ import annotations

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
    placed,
)
from reeltune.adapters.layouts.stretched import Stretched


def size_of(change: Change) -> tuple[int | None, int | None]:
    """Return the outputs and inputs of the layer that a change is made for; None where it does not tell."""
    match change:
        case Decomposed() | Stretched():
            return size_of(change.inner)
        case LowRank():
            return change.up.shape[0], change.down.shape[1]
        case Dense():
            return change.weight.shape[0], change.weight.shape[1]
        case Hadamard():
            return change.a1.shape[0], change.b1.shape[1]
        case Generalized():
            return change.b1.shape[0], change.b2.shape[1]
        case Kronecker():
            (left, right), (columns, more) = zip(*map(_shape, (change.left, change.right)), strict=True)
            return left * right, columns * more
        case Rotation() | Butterfly():
            return change.blocks.shape[-3] * change.blocks.shape[-2], None
        case Scaling():
            return (None, len(change.factors)) if change.on_input else (len(change.factors), None)
    raise AssertionError(type(change))


def require_whole(change: Change) -> None:
    """Raise RuntimeError, IndexError or ValueError for tensors whose shapes do not belong together."""
    nowhere = torch.device("meta")
    outputs, inputs = size_of(change)
    weight = torch.empty(outputs or 1, inputs or 1, device=nowhere)
    matrix = placed(change, nowhere).matrix(weight)
    if matrix.shape != weight.shape:
        raise ValueError(f"a change of {tuple(matrix.shape)} for a layer of {tuple(weight.shape)}")


def _shape(factor: Tensor | tuple[Tensor, Tensor]) -> tuple[int, int]:
    first, last = (factor, factor) if isinstance(factor, Tensor) else factor
    return first.shape[0], last.shape[1]
