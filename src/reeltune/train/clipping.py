"""Gradients measured and limited before the optimizer moves, in float32.

Every optimizer is handed what the options ask for, those too that limit their own updates: clipping acts on gradients,
and what is measured is measured before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm


@dataclass(frozen=True)
class Measured:
    """How large the gradients of a step were before clipping: over all tensors, and their largest element.

    Both stay where the gradients are: reading them is a synchronisation.
    """

    norm: Float[Tensor, ""]
    largest: Float[Tensor, ""]


Clip = Callable[[Sequence[nn.Parameter]], Measured]
"""Limits the gradients in place and returns how large they were before."""


def clipping(method: str, limit: float) -> Clip:
    """Return the clipping of a run. method: value or norm. limit: 0 only measures."""
    if limit == 0:
        return measured
    return {"value": _by_value, "norm": _by_norm}[method](limit)


def measured(parameters: Sequence[nn.Parameter]) -> Measured:
    """Return how large the gradients are; 0 where there are none."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    return Measured(get_total_norm(gradients), get_total_norm(gradients, math.inf))


def _by_value(limit: float) -> Clip:
    def clip(parameters: Sequence[nn.Parameter]) -> Measured:
        before = measured(parameters)
        clip_grad_value_(parameters, limit)
        return before

    return clip


def _by_norm(limit: float) -> Clip:
    def clip(parameters: Sequence[nn.Parameter]) -> Measured:
        before = measured(parameters)
        clip_grads_with_norm_(parameters, limit, before.norm)
        return before

    return clip
