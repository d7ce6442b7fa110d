"""Whether an adapter file fits a base: by the names and sizes of its layers alone."""

from __future__ import annotations

from collections.abc import Sequence

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
)
from reeltune.adapters.layouts.reading import AdapterFile
from reeltune.adapters.layouts.stretched import Stretched
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ModelError

_SHOWN = 3


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


def check_fit(file: AdapterFile, layers: Sequence[LinearLayer]) -> None:
    """Raise ModelError when a base lacks layers that the file changes, or has them in other sizes."""
    there = {layer.name: layer for layer in layers}
    missing = [name for name in file.changes if name not in there]
    if missing:
        raise ModelError(f"{file.path} changes {len(missing)} layers that this base lacks: {_some(missing)}")
    for name, change in file.changes.items():
        layer = there[name]
        made, has = size_of(change), (layer.outputs, layer.inputs)
        for made_size, size, what in zip(made, has, ("outputs", "inputs"), strict=True):
            if made_size not in (None, size):
                raise ModelError(
                    f"{file.path} was made for a base {made_size} wide; this one is {size} wide ({what} of {name})"
                )


def _shape(factor: Tensor | tuple[Tensor, Tensor]) -> tuple[int, int]:
    first, last = (factor, factor) if isinstance(factor, Tensor) else factor
    return first.shape[0], last.shape[1]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
