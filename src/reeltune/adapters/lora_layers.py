"""The parts of a LoRA layer as they compute here: weights in float32, products in the type of their input.

PEFT would compute a float32 adapter on a bfloat16 base in float32, at several times the time and memory. Here the
float32 weights are what is optimized, and each use casts them to the type of the activations.

Letters: W (out, in) the base's weight, A (r, in), B (out, r), s the scale.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora.dora import DoraLinearLayer
from torch import Tensor, nn
from torch.nn.functional import linear

ADAPTER = "default"
"""PEFT's name of the adapter in training."""

ROWS = 1024
"""Rows of a weight that are brought to float32 at a time: 20 MiB for a weight 5120 wide."""


class CastingLinear(nn.Linear):
    """A linear layer without bias whose weight is cast to its input's type at each use."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias=False, device="meta")
        self.weight = nn.Parameter(weight.detach().float())

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.acting().to(input.dtype))

    def acting(self) -> Tensor:
        """Return the matrix that acts, for which the layer's formula is up @ down."""
        return self.weight


class Moved(CastingLinear):
    """One half of a pair of which only what it has moved since its start counts: B A - B0 A0.

    Computed as (B - B0) A + B0 (A - A0), with the differences taken in float32 and cast afterwards. B A and B0 A0 cast
    by themselves are large and nearly equal: what training moves at first would be less than their rounding.
    """

    start: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__(start)
        self.register_buffer("start", start.detach().float().clone(), persistent=False)


class MovedDown(Moved):
    """A and its start A0, which stays: (2r, in)."""

    def acting(self) -> Tensor:
        return torch.cat([self.weight, self.weight - self.start])


class MovedUp(Moved):
    """B and its start B0, which stays: (out, 2r)."""

    def acting(self) -> Tensor:
        return torch.cat([self.weight - self.start, self.start], dim=1)


class RowLengths(DoraLinearLayer):
    """DoRA's magnitudes m, float32: y = m / ||W + s B A|| * (W + s B A) x, with the lengths of rows.

    The lengths are measured in float32 whatever the base is stored in: bfloat16 would round the adapter away, and
    be wrong by 0.4 % even where it changes nothing. As in the paper, no gradient flows through them.

    Source: Liu et al. 2024, arXiv:2402.09353, section 4.3.
    """

    def __init__(self, weight: Tensor, down: CastingLinear, up: CastingLinear, scale: float) -> None:
        super().__init__(fan_in_fan_out=False)
        self.weight = nn.Parameter(row_lengths(weight, down.acting(), up.acting(), scale))

    def forward(
        self, x: Tensor, *, lora_A: Any, lora_B: Any, scaling: float, base_layer: Any, base_result: Any = None, **_: Any
    ) -> Tensor:
        """Return what is added to the base's output. base_result: that output, where x is its input."""
        lengths = row_lengths(base_layer.weight, lora_A.acting(), lora_B.acting(), scaling)
        factor = self.weight / lengths
        change = lora_B(lora_A(x)) * scaling
        product = _product(x, base_layer, base_result)
        # From 1 in float32: near 1 the input's type may have no other number.
        return (factor - 1).to(x.dtype) * product + factor.to(x.dtype) * change


def _product(x: Tensor, base_layer: nn.Linear, base_result: Tensor | None) -> Tensor:
    """Return W x, from the base's output where there is one."""
    if base_result is None:
        return linear(x, base_layer.weight)
    return base_result if base_layer.bias is None else base_result - base_layer.bias


@torch.no_grad()
def row_lengths(
    weight: Float[Tensor, "out in"], down: Float[Tensor, "r in"], up: Float[Tensor, "out r"], scale: float
) -> Float[Tensor, " out"]:
    """Return the length of each row of weight + scale * up @ down, in float32, without a copy of the whole."""
    pieces = zip(weight.split(ROWS), up.split(ROWS), strict=True)
    return torch.cat([(rows.float() + scale * (some @ down)).norm(dim=1) for rows, some in pieces])


def half(layer: LoraLinear, which: str) -> CastingLinear:
    """Return a layer's `lora_A` or `lora_B` of the adapter in training."""
    found = getattr(layer, which)[ADAPTER]
    assert isinstance(found, CastingLinear)
    return found


def down_of(layer: LoraLinear) -> CastingLinear:
    return half(layer, "lora_A")


def up_of(layer: LoraLinear) -> CastingLinear:
    return half(layer, "lora_B")


def lengths_of(layer: LoraLinear) -> nn.Parameter | None:
    """Return a layer's magnitudes (out,), or None where it is no DoRA."""
    lengths = layer.lora_magnitude_vector
    return lengths[ADAPTER].weight if ADAPTER in lengths else None  # pyright: ignore[reportReturnType]
