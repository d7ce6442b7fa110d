"""What a run tells the world: small records, sent to every sink. No torch.

Sinks listen; they cannot answer, and a sink that fails must not stop a run.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    loss: mean over the samples of the step. grad_norm: before clipping. tokens: video tokens of the whole step.
    seconds: wall time of the step, of which data_seconds were spent waiting for data.
    """

    step: int
    total_steps: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    seconds: float
    data_seconds: float


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


@dataclass(frozen=True)
class Evaluated:
    """The loss on the held-out clips of one dataset: the mean over clips and noise levels.

    curve: (sigma, mean loss of the clips measured there), noisiest first.
    """

    step: int
    dataset: str
    weights: Literal["raw", "ema"]
    loss: float
    curve: tuple[tuple[float, float], ...]


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
