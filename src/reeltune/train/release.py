"""Gradient release: each tensor is moved as soon as its gradient is there, and the gradient is let go.

The gradients of a whole model in float32 are as large as the model; here one of them is alive at a time. The price: a
step has begun to move before it is known whether all of its numbers are finite, and cannot be taken back; and nothing
can depend on all gradients together, as clipping by their norm does.

The optimizer's own step is used, with all other tensors out of its sight: moments, files and resumption are those of
an ordinary run, and so are the numbers, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reeltune.train.clipping import Clip, Measured
from reeltune.train.state import TrainState


class Release:
    """Moves tensors within the backward pass; as the `Clip` of the step it tells how large their gradients were."""

    def __init__(self, state: TrainState, clip: Clip) -> None:
        """Take over the moving of all that is trained. clip: limits one gradient by itself."""
        self._optimizer = state.optimizer
        self._clip = clip
        groups = enumerate(state.optimizer.param_groups)
        self._places = {parameter: place for place, group in groups for parameter in group["params"]}
        self._gradients: dict[nn.Parameter, Measured] = {}
        self._before: list[dict[str, Any]] = []
        state.moves_in_backward = True
        state.trained.on_gradient(self._move)

    def __call__(self, parameters: Sequence[nn.Parameter]) -> Measured:
        """Return how large the gradients of this step were, in the sum's order of an ordinary run; 0 without any."""
        parts = [self._gradients.pop(parameter) for parameter in parameters if parameter in self._gradients]
        if not parts:
            return Measured(torch.zeros(()), torch.zeros(()))
        norms, largest = (torch.stack([getattr(part, name) for part in parts]) for name in ("norm", "largest"))
        return Measured(torch.linalg.vector_norm(norms), torch.linalg.vector_norm(largest, math.inf))

    def _move(self, parameter: nn.Parameter) -> None:
        # Optimizers count their steps in their groups: each tensor starts from the counts that the first one found.
        if not self._gradients:
            self._before = [_counts(group) for group in self._optimizer.param_groups]
        self._gradients[parameter] = self._clip([parameter])
        for group, before in zip(self._optimizer.param_groups, self._before, strict=True):
            group.update(_counts(before))
        with _alone(self._optimizer, parameter, place=self._places[parameter]):
            self._optimizer.step()
        parameter.grad = None


def _counts(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a group holds beside its tensors, safe from changes in place."""
    return {
        key: value.clone() if isinstance(value, Tensor) else value for key, value in group.items() if key != "params"
    }


@contextmanager
def _alone(optimizer: Optimizer, parameter: nn.Parameter, *, place: int) -> Iterator[None]:
    """Let the optimizer see one of its tensors for as long as the block lasts. place: of its group."""
    # Without this it would look through all of them for each: a million looks in a step of a large model.
    groups = optimizer.param_groups
    own = [group["params"] for group in groups]
    try:
        for number, group in enumerate(groups):
            group["params"] = [parameter] if number == place else []
        yield
    finally:
        for group, parameters in zip(groups, own, strict=True):
            group["params"] = parameters
