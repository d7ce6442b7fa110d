"""The moving average of the trained weights, in float32.

The decay ramps up, so that the average starts as a copy and forgets its beginnings. With an update interval the decay
of an update is the product over the steps since the last one, so that the horizon does not depend on the interval.

In bfloat16 the updates of a decay near 1 vanish in rounding; hence float32 whatever the weights are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def decay_at(step: int, limit: float) -> float:
    """Return the share of the old average that a step keeps: min((1 + step) / (10 + step), limit), and 0 for step 0."""
    return min((1 + step) / (10 + step), limit) if step > 0 else 0.0


class Ema:
    """A float32 shadow of named parameters."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, decay: float, interval: int) -> None:
        self._parameters = dict(parameters)
        self._decay = decay
        self._interval = interval
        self.shadow: dict[str, Tensor] = {
            name: parameter.detach().float().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Take in the weights after step number `steps_done`, counted from 1, when the interval says so."""
        if steps_done % self._interval:
            return
        steps = range(steps_done - self._interval, steps_done)
        kept = math.prod(decay_at(step, self._decay) for step in steps)
        current = [parameter.detach().float() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self.shadow.values()), current, 1 - kept)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a saved average. The names must be the same."""
        assert tensors.keys() == self.shadow.keys(), sorted(tensors.keys() ^ self.shadow.keys())
        for name, tensor in self.shadow.items():
            tensor.copy_(tensors[name])
