"""Trackers: where the numbers of a run can be looked at later. csv is our own and needs nothing.

All are opened when the loop begins, not before: until then the run's folder may still belong to an earlier run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reeltune.contracts.events import Evaluated, Event, EventSink, RunFinished, RunStarted, SampleRendered, StepDone
from reeltune.report.background import Background
from reeltune.report.tracker_backends import LEVELS, Backend, CsvFile, Tensorboard, Wandb

WAIT_S = 60.0
"""How long the end of a run waits for a tracker to send what it has."""


def open_tracker(
    name: str, *, project: str, run: str, folder: Path, config: Mapping[str, Any], offline: bool
) -> EventSink:
    """Return the listener that feeds a tracker whose package is here: csv, tensorboard or wandb.

    folder: of the run. config: options shown beside the numbers; nothing secret. offline: write files only.
    """
    backends: Mapping[str, Callable[[], Backend]] = {
        "csv": lambda: CsvFile(folder / "metrics.csv"),
        "tensorboard": lambda: Tensorboard(folder / "tensorboard"),
        "wandb": lambda: Wandb(project, run, folder=folder, config=config, offline=offline),
    }
    return Tracker(name, backends[name]())


def scalars_of(event: StepDone) -> dict[str, float]:
    """Return the numbers of a step that are known, under the names that all trackers show."""
    values = {
        "train_loss": event.loss,
        "learning_rate": event.learning_rate,
        "grad_norm": event.grad_norm,
        "step_seconds": event.seconds,
        "tokens_per_second": event.tokens_per_second,
        "grad_max": event.grad_max,
        "effective_learning_rate": event.effective_rate,
        "data_seconds": event.data_seconds,
        "memory_bytes": event.memory_bytes,
        "mfu": event.mfu,
        **dict(zip(LEVELS, event.loss_by_sigma, strict=False)),
    }
    return {name: value for name, value in values.items() if value is not None}


def changes_of(event: StepDone) -> dict[str, float]:
    """Return how far each block of what is trained is from its start, under the names that all trackers show."""
    return {f"weight_change/{block}": size for block, size in event.weight_change.items()}


def scalar_of(event: Evaluated) -> dict[str, float]:
    """Return the loss on a held-out dataset under the name that all trackers show."""
    name = f"loss/val/{event.dataset}"
    return {name if event.weights == "raw" else f"{name}/{event.weights}": event.loss}


class Tracker:
    """Hands what happens to a backend, beside the loop. One that could not be opened is left alone from then on."""

    def __init__(self, name: str, backend: Backend) -> None:
        self._backend = backend
        self._background = Background(name, room=10_000)
        self._open = False
        self._finished = False

    def receive(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._background.submit("opening", lambda: self._start(event.step))
            case StepDone():
                self._submit("numbers", lambda: self._backend.scalars(event.step, scalars_of(event)))
                if event.weight_change:
                    self._submit("numbers", lambda: self._backend.changes(event.step, changes_of(event)))
            case Evaluated():
                self._submit("numbers", lambda: self._backend.evaluation(event.step, scalar_of(event)))
            case SampleRendered():
                self._submit("videos", lambda: self._backend.video(event.step, event.path))
            case RunFinished():
                self._finished = True

    def close(self) -> None:
        self._submit("closing", lambda: self._backend.close(finished=self._finished))
        self._background.close(WAIT_S)

    def _start(self, step: int) -> None:
        self._backend.start(step)
        self._open = True

    def _submit(self, kind: str, action: Callable[[], None]) -> None:
        self._background.submit(kind, lambda: action() if self._open else None)
