"""Gradients measured and limited before the optimizer moves, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

Clip = Callable[[Sequence[nn.Parameter]], Float[Tensor, ""]]
"""Limits the gradients in place and returns their norm as it was before."""


def clipping(method: str, limit: float) -> Clip:
    """Return the clipping of a run. method: value or norm. limit: 0 only measures."""
    if limit == 0:
        return _norm_of
    return {"value": _by_value, "norm": _by_norm}[method](limit)


def _by_value(limit: float) -> Clip:
    def clip(parameters: Sequence[nn.Parameter]) -> Tensor:
        norm = _norm_of(parameters)
        clip_grad_value_(parameters, limit)
        return norm

    return clip


def _by_norm(limit: float) -> Clip:
    def clip(parameters: Sequence[nn.Parameter]) -> Tensor:
        norm = _norm_of(parameters)
        clip_grads_with_norm_(parameters, limit, norm)
        return norm

    return clip


def _norm_of(parameters: Sequence[nn.Parameter]) -> Tensor:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    return get_total_norm(gradients)
