"""What a run tells the world: small records, sent to every sink. No torch.

Sinks listen; they cannot answer, and a sink that fails must not stop a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True)
class RunStarted:
    """The loop begins at `step` of `total_steps`."""

    step: int
    total_steps: int


@dataclass(frozen=True)
class StepDone:
    """One optimizer step.

    loss: mean over the samples of the step. tokens: video tokens of the whole step.
    seconds: wall time of the step, of which data_seconds were spent waiting for data.
    grad_norm, grad_max: of the gradients before clipping, and their largest element without its sign.
    effective_rate: of optimizers that find their own, as the step before left it; None for others.
    sigmas, losses: noise level (0 clean, 1 noise) and loss of each sample.
    loss_by_sigma: running mean of the loss in each tenth of the noise levels, cleanest first; None before its first
    sample.
    weight_change: L2 norm of what is trained, at strength 1, by block, before this step's move; empty in most steps.
    memory_bytes: on a GPU the most that was allocated since the step before, else what the process has in memory.
    mfu: model FLOPs utilization: the operations that the model needs for the step, token routing counted and nothing
    computed twice, in the step's seconds, as a share of the GPU's dense bfloat16 peak; None on unknown hardware. What
    is recomputed is no useful work and does not count (with it this would be the hardware's utilization).
    """

    step: int
    total_steps: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    seconds: float
    data_seconds: float
    grad_max: float | None = None
    effective_rate: float | None = None
    sigmas: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    loss_by_sigma: tuple[float | None, ...] = ()
    weight_change: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int | None = None
    mfu: float | None = None

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class StepSkipped:
    """A step whose loss or gradient was not finite: the weights stayed as they were.

    ids, sigmas: its samples and their noise levels. seed: of the run; with the step it gives the same noise again.
    """

    step: int
    loss: float
    grad_norm: float
    ids: tuple[str, ...]
    sigmas: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class CheckpointSaved:
    step: int
    path: Path
    seconds: float


@dataclass(frozen=True)
class SampleRendered:
    """A validation video. weights: raw, ema, or base for the model without what was trained, which has step 0."""

    step: int
    path: Path
    weights: str
    seconds: float


@dataclass(frozen=True)
class RenderFailed:
    """A validation video that could not be made; training goes on."""

    step: int
    reason: str


VerdictKind = Literal["first", "no effect", "learning", "overfitting", "worse"]
"""What a measurement says of the run so far; `train.verdict` decides and puts it into words."""


@dataclass(frozen=True)
class Evaluated:
    """The loss on the held-out clips of one dataset: the mean over clips and noise levels. Step 0 is before the first.

    curve: (sigma, mean loss of the clips measured there, its standard error over them), noisiest first; the error is
    None where fewer than two clips were measured. standard_error: of the loss, over `error_over`: over the clips, or
    over the noise levels of the only one; None with one number. clips: how many were measured. verdict: in words, with
    the measurements of the same dataset and weights before it.
    """

    step: int
    dataset: str
    weights: Literal["raw", "ema"]
    loss: float
    curve: tuple[tuple[float, float, float | None], ...]
    standard_error: float | None
    error_over: Literal["clips", "levels"]
    clips: int
    verdict_kind: VerdictKind
    verdict: str


@dataclass(frozen=True)
class RunFinished:
    """The loop has ended. stopped: on request, before the plan's last step."""

    step: int
    stopped: bool


Event = RunStarted | StepDone | StepSkipped | CheckpointSaved | SampleRendered | RenderFailed | Evaluated | RunFinished


@runtime_checkable
class EventSink(Protocol):
    def receive(self, event: Event) -> None: ...

    def close(self) -> None:
        """Let go of terminals and files; however the run ends. Closing again does nothing."""
        ...
