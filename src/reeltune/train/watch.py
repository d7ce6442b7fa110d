"""What a step tells beside its loss. Nothing here changes a number of training, or waits for the device by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from reeltune.contracts.batch import Batch, StepResult
from reeltune.contracts.events import StepDone
from reeltune.train.optimizers import effective_rate
from reeltune.train.running_losses import RunningLosses
from reeltune.train.schedule import Every

ChangeSizes = Callable[[], Mapping[str, Float[Tensor, ""]]]
"""Gives the size of what is trained by block, on the device."""


@dataclass(frozen=True)
class Watch:
    """What is looked at in each step, and now and then; by itself it looks at nothing that costs.

    change_sizes: None where they cannot be had. sizes_due: in which steps they are measured.
    operations: of the model, for a whole micro-batch; None where its size is not known.
    peak: operations a second that the device can do; None where that is not known.
    memory: gives the bytes in use.
    """

    change_sizes: ChangeSizes | None = None
    sizes_due: Every = Every(0)
    operations: Callable[[Batch], int] | None = None
    peak: float | None = None
    memory: Callable[[], int | None] = lambda: None
    by_sigma: RunningLosses = field(default_factory=RunningLosses)

    def sizes(self, step: int) -> Mapping[str, Tensor]:
        """Return the size of what is trained by block when step number `step`, counted from 1, should tell it."""
        return self.change_sizes() if self.change_sizes and self.sizes_due.due(step) else {}

    def operations_of(self, batches: Sequence[Batch]) -> int | None:
        """Return the operations that a step needs at least."""
        return sum(map(self.operations, batches)) if self.operations else None

    def told(self, result: StepResult, *, step: int, total_steps: int, seconds: float, data_seconds: float) -> StepDone:
        """Return what is told about step number `step`, which is done; its samples count in the running losses."""
        self.by_sigma.add(result.sigmas, result.losses)
        return StepDone(
            step=step,
            total_steps=total_steps,
            loss=result.loss,
            grad_norm=result.grad_norm,
            learning_rate=result.learning_rate,
            tokens=result.tokens,
            seconds=seconds,
            data_seconds=data_seconds,
            grad_max=result.grad_max,
            effective_rate=result.effective_rate,
            sigmas=result.sigmas,
            losses=result.losses,
            loss_by_sigma=self.by_sigma.means(),
            weight_change=result.weight_change,
            memory_bytes=self.memory(),
            mfu=self._mfu(result.operations, seconds),
        )

    def _mfu(self, operations: int | None, seconds: float) -> float | None:
        return operations / (seconds * self.peak) if operations and self.peak and seconds > 0 else None


def found_rate(optimizer: Optimizer, like: Tensor) -> dict[str, Tensor]:
    """Return the rate that an optimizer has found by itself, on the device of another tensor; nothing of most."""
    rate = effective_rate(optimizer)
    if rate is None:
        return {}
    # Numbers of the host are written there by a kernel, which is not waited for; a copy would be.
    return {"effective_rate": rate if isinstance(rate, Tensor) else like.new_full((), rate)}


def read_back(tensors: Mapping[str, Tensor]) -> dict[str, tuple[float, ...]]:
    """Return the numbers of float tensors, of any shapes and on one device, in one synchronisation for all."""
    parts = {name: tensor.detach().float().flatten() for name, tensor in tensors.items()}
    numbers = iter(torch.cat(list(parts.values())).tolist())
    return {name: tuple(islice(numbers, part.numel())) for name, part in parts.items()}
