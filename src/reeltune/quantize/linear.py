"""A linear layer with an 8-bit weight that is brought back once in the forward and once more in the backward.

torchao's own layers keep the brought-back weight from the one to the other: with blocks that are not recomputed, the
whole base again in 16 bits. The numbers are the same to the bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import linear


class BroughtBackLinear(nn.Linear):
    """A linear layer whose weight is one of torchao's tensors, frozen."""

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled() and input.requires_grad:
            return _Product.apply(input, self.weight, self.bias)  # pyright: ignore[reportReturnType]
        return linear(input, self.weight, self.bias)


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return linear(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        whole = _scaled(rows, weight) @ _unscaled(weight, rows.dtype)
        return whole.reshape(*gradient.shape[:-1], weight.shape[1]), None, None


def _scaled(rows: Tensor, weight: Any) -> Tensor:
    """Multiply with the scales where torchao's product does so behind the matrix: for whole numbers."""
    return rows if weight.qdata.is_floating_point() else rows * weight.scale.to(rows.dtype).flatten()


def _unscaled(weight: Any, dtype: torch.dtype) -> Tensor:
    return weight.dequantize() if weight.qdata.is_floating_point() else weight.qdata.to(dtype)
