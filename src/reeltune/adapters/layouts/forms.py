"""The kinds of change as tensors in a file: for each kind, what its tensors are called behind a layer's name.

A form goes both ways: `write` takes a change apart into tensors, `read` puts it together again. Scales are multiplied
into the tensors when they are written, and alpha is written as the number it is divided by, so that a change is right
at strength 1 whether a reader applies alpha, ignores it, or looks for it elsewhere. A scale of 1 changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from reeltune.adapters.changes import (
    Butterfly,
    Change,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
)

Parts: TypeAlias = Mapping[str, Tensor]
"""The tensors of one layer by what they are called behind its name."""

DORA = ("dora_scale", "lora_magnitude_vector")
"""What DoRA's lengths are called beside the tensors of the change that they belong to."""


@dataclass(frozen=True)
class Form:
    """One kind of change in files.

    needed: sets of tensors' names, of which one must be there whole. may: what may be there as well.
    read: gives the change; its second argument is the scale that the file's metadata names, for want of an alpha.
    write: gives the tensors by the names of the first set.
    """

    kind: type
    needed: tuple[tuple[str, ...], ...]
    may: tuple[str, ...]
    read: Callable[[Parts, float], Change]
    write: Callable[[Any], dict[str, Tensor]]

    def chosen(self, parts: Parts) -> tuple[str, ...] | None:
        """Return the set of needed tensors that these make up, or come nearest to; None for another form's tensors."""
        begun = [names for names in self.needed if any(name in parts for name in names)]
        return min(begun, key=lambda names: sum(-1 if name in parts else 1 for name in names), default=None)


def _read_low_rank(parts: Parts, scale: float) -> Change:
    down, up = _first(parts, _DOWN), _first(parts, _UP)
    return LowRank(down, up, _scale(parts, down.shape[0], scale))


def _write_low_rank(change: LowRank) -> dict[str, Tensor]:
    names = ("lora_A.weight", "lora_B.weight")
    pair = (change.down, _scaled(change.up, change.scale))
    return {**dict(zip(names, pair, strict=True)), "alpha": _number(change.down.shape[0])}


def _read_kronecker(parts: Parts, _: float) -> Change:
    left, right = (_factor(parts, name) for name in ("lokr_w1", "lokr_w2"))
    ranks = [factor[0].shape[1] for factor in (right, left) if isinstance(factor, tuple)]
    return Kronecker(left, right, _scale(parts, ranks[0], 1.0) if ranks else 1.0)


def _write_kronecker(change: Kronecker) -> dict[str, Tensor]:
    left, right = change.left, change.right
    left = (_scaled(left[0], change.scale), left[1]) if isinstance(left, tuple) else _scaled(left, change.scale)
    ranks = [factor[0].shape[1] for factor in (right, left) if isinstance(factor, tuple)]
    return {**_named("lokr_w1", left), **_named("lokr_w2", right), "alpha": _number(*ranks[:1] or [1])}


def _read_hadamard(parts: Parts, _: float) -> Change:
    a1, b1, a2, b2 = (parts[name] for name in _HADAMARD)
    return Hadamard(a1, b1, a2, b2, _scale(parts, b1.shape[0], 1.0))


def _write_hadamard(change: Hadamard) -> dict[str, Tensor]:
    tensors = (_scaled(change.a1, change.scale), change.b1, change.a2, change.b2)
    return {**dict(zip(_HADAMARD, tensors, strict=True)), "alpha": _number(change.b1.shape[0])}


def _read_generalized(parts: Parts, _: float) -> Change:
    a1, a2, b1, b2 = (parts[name] for name in _GENERALIZED)
    return Generalized(a1, a2, b1, b2, _scale(parts, a2.shape[0], 1.0))


def _write_generalized(change: Generalized) -> dict[str, Tensor]:
    tensors = (change.a1, _scaled(change.a2, change.scale), change.b1, _scaled(change.b2, change.scale))
    return {**dict(zip(_GENERALIZED, tensors, strict=True)), "alpha": _number(change.a2.shape[0])}


def _read_dense(parts: Parts, _: float) -> Change:
    return Dense(parts["diff"], parts.get("diff_b"))


def _write_dense(change: Dense) -> dict[str, Tensor]:
    tensors = {"diff": change.weight} | ({} if change.bias is None else {"diff_b": change.bias})
    return {name: _scaled(tensor, change.scale) for name, tensor in tensors.items()}


def _read_turned(parts: Parts, _: float) -> Change:
    blocks = parts["oft_blocks"]
    kind = Rotation if blocks.ndim == 3 else Butterfly
    return kind(blocks, float(parts.get("alpha", torch.zeros(()))), parts.get("rescale"))


def _write_turned(change: Rotation | Butterfly) -> dict[str, Tensor]:
    rescale = {} if change.rescale is None else {"rescale": change.rescale}
    return {"oft_blocks": change.blocks, "alpha": _number(change.constraint), **rescale}


def _read_scaling(parts: Parts, _: float) -> Change:
    return Scaling(parts["weight"].flatten(), bool(parts["on_input"]))


def _write_scaling(change: Scaling) -> dict[str, Tensor]:
    return {"weight": change.factors, "on_input": torch.tensor(int(change.on_input))}


_DOWN = ("lora_A.weight", "lora_down.weight", "lora_A.default.weight")
_UP = ("lora_B.weight", "lora_up.weight", "lora_B.default.weight")
_HADAMARD = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
_GENERALIZED = ("a1.weight", "a2.weight", "b1.weight", "b2.weight")
_KRONECKER = tuple(
    (*left, *right)
    for right in (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"))
    for left in (("lokr_w1",), ("lokr_w1_a", "lokr_w1_b"))
)

FORMS = (
    Form(LowRank, tuple(zip(_DOWN, _UP, strict=True)), ("alpha", *DORA), _read_low_rank, _write_low_rank),
    Form(Kronecker, _KRONECKER, ("alpha", DORA[0]), _read_kronecker, _write_kronecker),
    Form(Hadamard, (_HADAMARD,), ("alpha", DORA[0]), _read_hadamard, _write_hadamard),
    Form(Generalized, (_GENERALIZED,), ("alpha",), _read_generalized, _write_generalized),
    Form(Dense, (("diff",),), ("diff_b",), _read_dense, _write_dense),
    Form(Rotation, (("oft_blocks",),), ("alpha", "rescale"), _read_turned, _write_turned),
    Form(Butterfly, (("oft_blocks",),), ("alpha", "rescale"), _read_turned, _write_turned),
    Form(Scaling, (("weight", "on_input"),), (), _read_scaling, _write_scaling),
)

ENDINGS = tuple(
    sorted({name for form in FORMS for names in (*form.needed, form.may) for name in names}, key=len, reverse=True)
)
"""All names that a tensor may have behind its layer's, the longest first."""


def _factor(parts: Parts, name: str) -> Tensor | tuple[Tensor, Tensor]:
    return parts[name] if name in parts else (parts[f"{name}_a"], parts[f"{name}_b"])


def _named(name: str, factor: Tensor | tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    if isinstance(factor, Tensor):
        return {name: factor}
    return {f"{name}_a": factor[0], f"{name}_b": factor[1]}


def _first(parts: Parts, names: tuple[str, ...]) -> Tensor:
    return next(parts[name] for name in names if name in parts)


def _scale(parts: Parts, rank: int, otherwise: float) -> float:
    """Return alpha / rank where there is an alpha."""
    return float(parts["alpha"]) / rank if "alpha" in parts else otherwise


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1 else tensor * scale


def _number(value: int | float) -> Tensor:
    return torch.tensor(float(value))
