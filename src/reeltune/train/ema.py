"""The moving average of the trained weights, in float32.

The decay ramps up, so that the average starts as a copy and forgets its beginnings. With an update interval the decay
of an update is the product over the steps since the last one, so that the horizon does not depend on the interval.

In bfloat16 the updates of a decay near 1 vanish in rounding; hence float32 whatever the weights are.

The average lies beside the weights, or in the memory of the host. There each update copies the weights over, all in
one go into page-locked memory while the next step runs, and they are taken in when the average is next needed: nobody
waits for the copy, and adding it up is the host's work in the loop. That takes 8 bytes of the host's memory for each
weight, and none of the accelerator's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def decay_at(step: int, limit: float) -> float:
    """Return the share of the old average that a step keeps: min((1 + step) / (10 + step), limit), and 0 for step 0."""
    return min((1 + step) / (10 + step), limit) if step > 0 else 0.0


class Ema:
    """A float32 average of named parameters.

    on_host: it lies in the host's memory, wherever the parameters are. foreach: one call for all tensors.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        *,
        decay: float,
        interval: int,
        on_host: bool = False,
        foreach: bool = True,
    ) -> None:
        self._parameters = dict(parameters)
        self._decay = decay
        self._interval = interval
        self._foreach = foreach
        self._shadow = {name: _copy_of(parameter, on_host) for name, parameter in self._parameters.items()}
        self._arrivals = _Arrivals(list(self._parameters.values())) if on_host else None
        self._pending_weight: float | None = None

    @property
    def shadow(self) -> dict[str, Tensor]:
        """The average, by the parameters' names."""
        self._take_in_arrivals()
        return self._shadow

    def due(self, steps_done: int) -> bool:
        """Tell whether the average takes in the weights after step number `steps_done`, counted from 1."""
        return steps_done % self._interval == 0

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Take in the weights after step number `steps_done`, counted from 1, when the interval says so."""
        if not self.due(steps_done):
            return
        steps = range(steps_done - self._interval, steps_done)
        weight = 1 - math.prod(decay_at(step, self._decay) for step in steps)
        current = [parameter.detach().float() for parameter in self._parameters.values()]
        if self._arrivals is None:
            self._move_toward(current, weight)
        else:
            self._take_in_arrivals()
            self._arrivals.send(current)
            self._pending_weight = weight

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a saved average. The names must be the same."""
        assert tensors.keys() == self._shadow.keys(), sorted(tensors.keys() ^ self._shadow.keys())
        self._pending_weight = None
        for name, tensor in self._shadow.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def _take_in_arrivals(self) -> None:
        if self._arrivals is not None and self._pending_weight is not None:
            self._move_toward(self._arrivals.received(), self._pending_weight)
            self._pending_weight = None

    def _move_toward(self, current: list[Tensor], weight: float) -> None:
        average = list(self._shadow.values())
        if self._foreach:
            torch._foreach_lerp_(average, current, weight)
            return
        for old, new in zip(average, current, strict=True):
            old.lerp_(new, weight)


class _Arrivals:
    """Weights on their way to the host: sent without waiting, and waited for when they are wanted."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._tensors = [_room_for(parameter) for parameter in parameters]
        self._sent = torch.cuda.Event() if any(parameter.is_cuda for parameter in parameters) else None

    def send(self, tensors: list[Tensor]) -> None:
        torch._foreach_copy_(self._tensors, tensors, non_blocking=True)
        if self._sent:
            self._sent.record()

    def received(self) -> list[Tensor]:
        if self._sent:
            self._sent.synchronize()
        return self._tensors


def _copy_of(parameter: nn.Parameter, on_host: bool) -> Tensor:
    device = torch.device("cpu") if on_host else parameter.device
    return parameter.detach().to(device, torch.float32, copy=True)


def _room_for(parameter: nn.Parameter) -> Tensor:
    return torch.empty(parameter.shape, dtype=torch.float32, device="cpu", pin_memory=parameter.is_cuda)
