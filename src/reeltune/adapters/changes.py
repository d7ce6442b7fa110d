"""What adapters do to one linear layer: each kind is a record of its tensors and one formula.

A layer with weight W computes y = W x + b. A change stands for another weight W + D, and gives what is to be added to y:
D x, without building D where the formula allows. One set of formulas serves training, videos, files, and merging.

Letters: W is (out, in), r a rank; x is (..., in). Formulas work in the number type of x; for exactness give float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear


@dataclass(frozen=True)
class Base:
    """A base layer's part in one forward pass.

    product: W x, without the bias. apply: W on another input. weight: gives W itself, brought to plain numbers.
    """

    x: Float[Tensor, "... i"]
    product: Float[Tensor, "... o"]
    apply: Callable[[Tensor], Tensor]
    weight: Callable[[], Tensor]


@runtime_checkable
class Change(Protocol):
    """What an adapter does to one layer."""

    def added(self, base: Base) -> Float[Tensor, "... o"]:
        """Return D x: what is added to the layer's output."""
        ...


@dataclass(frozen=True)
class LowRank:
    """D = scale * up @ down. down: (r, in). up: (out, r). Source: Hu et al. 2021, arXiv:2106.09685."""

    down: Tensor
    up: Tensor
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        return linear(linear(base.x, self.down.to(base.x)), self.up.to(base.x)) * self.scale


@dataclass(frozen=True)
class Dense:
    """D = weight (out, in), and a bias of its own, if any."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0

    def added(self, base: Base) -> Tensor:
        bias = None if self.bias is None else self.bias.to(base.x)
        return linear(base.x, self.weight.to(base.x), bias) * self.scale
