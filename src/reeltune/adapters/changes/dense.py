"""Changes that add a matrix made of a few small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear

from reeltune.adapters.changes.base import Base

Factor: TypeAlias = Tensor | tuple[Tensor, Tensor]
"""A matrix, or two whose product (first @ second) it is."""


@dataclass(frozen=True)
class LowRank:
    """D = scale * up @ down. down: (r, in). up: (out, r). Source: Hu et al. 2021, arXiv:2106.09685."""

    down: Tensor
    up: Tensor
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        return linear(linear(base.x, self.down.to(base.x)), self.up.to(base.x)) * self.scale

    def matrix(self, weight: Tensor) -> Tensor:
        return self.up.to(weight) @ self.down.to(weight) * self.scale


@dataclass(frozen=True)
class Dense:
    """D = scale * weight (out, in), and scale * bias (out) on top of the layer's own, if any."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        bias = None if self.bias is None else self.bias.to(base.x)
        return linear(base.x, self.weight.to(base.x), bias) * self.scale

    def matrix(self, weight: Tensor) -> Tensor:
        return self.weight.to(weight) * self.scale


@dataclass(frozen=True)
class Hadamard:
    """D = scale * (a1 @ b1) * (a2 @ b2), the last product element by element. a: (out, r). b: (r, in).

    D is also one product of r² ranks, which is what is computed where r² is small: D itself is then never built.
    Source: Hyeon-Woo et al. 2021, arXiv:2108.06098 (FedPara); LoHa of LyCORIS, arXiv:2309.14859.
    """

    a1: Tensor
    b1: Tensor
    a2: Tensor
    b2: Tensor
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        out, inputs = self.a1.shape[0], self.b1.shape[1]
        if self.a1.shape[1] * self.a2.shape[1] * (out + inputs) >= out * inputs:
            return linear(base.x, self.matrix(base.x))
        a1, b1, a2, b2 = (one.to(base.x) for one in (self.a1, self.b1, self.a2, self.b2))
        up = (a1[:, :, None] * a2[:, None, :]).flatten(1)
        down = (b1[:, None, :] * b2[None, :, :]).flatten(0, 1)
        return linear(linear(base.x, down), up) * self.scale

    def matrix(self, weight: Tensor) -> Tensor:
        first = self.a1.to(weight) @ self.b1.to(weight)
        return first * (self.a2.to(weight) @ self.b2.to(weight)) * self.scale


@dataclass(frozen=True)
class Kronecker:
    """D = scale * kron(left, right), each a matrix or a product of two.

    left: (p, q), right: (s, t), with p * s = out and q * t = in. An input seen as X (q, t) becomes left X rightᵀ.
    Source: Edalati et al. 2022, arXiv:2212.10650 (KronA); LoKr of LyCORIS, arXiv:2309.14859.
    """

    left: Factor
    right: Factor
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        seen = base.x.unflatten(-1, (width_of(self.left), width_of(self.right)))
        turned = _times(seen, self.right).transpose(-1, -2)
        return _times(turned, self.left).transpose(-1, -2).flatten(-2) * self.scale

    def matrix(self, weight: Tensor) -> Tensor:
        return torch.kron(whole(self.left, weight), whole(self.right, weight)) * self.scale


@dataclass(frozen=True)
class Generalized:
    """D = scale * (W @ a1 @ a2 + b1 @ b2). a1: (in, r). a2, b2: (r, in). b1: (out, r).

    Source: Chavan et al. 2023, arXiv:2306.07967 (GLoRA), in the form of LyCORIS.
    """

    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        a1, a2, b1, b2 = (one.to(base.x) for one in (self.a1, self.a2, self.b1, self.b2))
        through_base = base.apply(linear(linear(base.x, a2), a1))
        return (through_base + linear(linear(base.x, b2), b1)) * self.scale

    def matrix(self, weight: Tensor) -> Tensor:
        a1, a2, b1, b2 = (one.to(weight) for one in (self.a1, self.a2, self.b1, self.b2))
        return (weight @ a1 @ a2 + b1 @ b2) * self.scale


def whole(factor: Factor, like: Tensor) -> Tensor:
    """Return a factor as one matrix, of the number type and on the device of another tensor."""
    if isinstance(factor, Tensor):
        return factor.to(like)
    return factor[0].to(like) @ factor[1].to(like)


def width_of(factor: Factor) -> int:
    """Return the number of a factor's columns."""
    return factor.shape[1] if isinstance(factor, Tensor) else factor[1].shape[1]


def _times(x: Tensor, factor: Factor) -> Tensor:
    """Return x @ factorᵀ."""
    if isinstance(factor, Tensor):
        return linear(x, factor.to(x))
    return linear(linear(x, factor[1].to(x)), factor[0].to(x))
