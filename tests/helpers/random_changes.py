"""Changes of every kind with random tensors, for layers of any size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

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

RANK = 3


def random_change(kind: str, out: int, inputs: int, *, seed: int = 0, bias: bool = True) -> Change:
    """Return a change that alters a layer's outputs about as much as they are large. out, inputs: multiples of 8."""
    generator = torch.Generator().manual_seed(seed)
    return KINDS[kind](out, inputs, generator, bias)


def _low_rank(out: int, inputs: int, generator: Generator, _: bool, *, scale: float = 0.5) -> LowRank:
    return LowRank(_random(generator, RANK, inputs), _random(generator, out, RANK), scale)


def _factor(generator: Generator, rows: int, columns: int, *, product: bool) -> Tensor | tuple[Tensor, Tensor]:
    if product:
        return _random(generator, rows, 2), _random(generator, 2, columns)
    return _random(generator, rows, columns)


def _lokr(*, left: bool, right: bool) -> Callable[..., Change]:
    size = 8 if left else 4

    def make(out: int, inputs: int, generator: Generator, _: bool) -> Change:
        factors = (
            _factor(generator, size, size, product=left),
            _factor(generator, out // size, inputs // size, product=right),
        )
        return Kronecker(*factors, scale=0.7)

    return make


def _loha(out: int, inputs: int, generator: Generator, _: bool) -> Hadamard:
    shapes = ((out, RANK), (RANK, inputs), (out, RANK), (RANK, inputs))
    return Hadamard(*(_random(generator, *shape) for shape in shapes), scale=3.0)


def _glora(out: int, inputs: int, generator: Generator, _: bool) -> Generalized:
    shapes = ((inputs, RANK), (RANK, inputs), (out, RANK), (RANK, inputs))
    return Generalized(*(_random(generator, *shape) for shape in shapes), scale=0.25)


def _full(out: int, inputs: int, generator: Generator, bias: bool) -> Dense:
    return Dense(_random(generator, out, inputs), _random(generator, out) if bias else None, 0.1)


def _oft(*, constraint: float = 0.0, rescaled: bool = False) -> Callable[..., Change]:
    def make(out: int, _: int, generator: Generator, __: bool) -> Change:
        rescale = 1 + _random(generator, out, 1) if rescaled else None
        return Rotation(_random(generator, out // 4, 4, 4), constraint, rescale)

    return make


def _boft(out: int, _: int, generator: Generator, __: bool) -> Change:
    return Butterfly(_random(generator, 3, 4, out // 4, out // 4), rescale=1 + _random(generator, out, 1))


def _ia3(*, on_input: bool) -> Callable[..., Change]:
    def make(out: int, inputs: int, generator: Generator, _: bool) -> Change:
        return Scaling(_random(generator, inputs if on_input else out), on_input)

    return make


def _dora(inner: Callable[..., Change], *, rows: bool) -> Callable[..., Change]:
    def make(out: int, inputs: int, generator: Generator, bias: bool) -> Change:
        shape = (out, 1) if rows else (1, inputs)
        return Decomposed(inner(out, inputs, generator, bias), 1 + _random(generator, *shape).abs())

    return make


def _random(generator: Generator, *shape: int) -> Tensor:
    return 0.3 * torch.randn(shape, generator=generator)


KINDS: dict[str, Callable[..., Change]] = {
    "lora": _low_rank,
    "lokr": _lokr(left=False, right=True),
    "lokr-both": _lokr(left=True, right=True),
    "lokr-whole": _lokr(left=False, right=False),
    "lokr-left": _lokr(left=True, right=False),
    "loha": _loha,
    "glora": _glora,
    "full": _full,
    "oft": _oft(),
    "oft-limited": _oft(constraint=0.02),
    "oft-rescaled": _oft(rescaled=True),
    "boft": _boft,
    "ia3": _ia3(on_input=False),
    "ia3-input": _ia3(on_input=True),
    "dora": _dora(_low_rank, rows=True),
    "dora-columns": _dora(_low_rank, rows=False),
    "dora-lokr": _dora(_lokr(left=False, right=True), rows=True),
    "dora-loha": _dora(_loha, rows=False),
}
