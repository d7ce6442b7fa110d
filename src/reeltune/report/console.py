"""What a person sees while waiting: bars with rate and remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reeltune.contracts.events import (
    CheckpointSaved,
    Event,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)
from reeltune.contracts.progress import Item

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0
"""How often long work speaks when there is no terminal."""


@runtime_checkable
class Meter(Protocol):
    """Shows how far one piece of work has come."""

    def advance(self, detail: str = "") -> None: ...

    def close(self) -> None: ...


def track(items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]:
    """Hand the items through while showing progress; see `contracts.progress.Track`."""
    meter = open_meter(title, total=total, unit=unit)
    try:
        for item in items:
            yield item
            meter.advance()
    finally:
        meter.close()


def open_meter(title: str, *, total: int, unit: str, done: int = 0) -> Meter:
    """Start showing a piece of work of which `done` of `total` units are done."""
    kind = BarMeter if sys.stderr.isatty() else LineMeter
    return kind(title, total=total, unit=unit, done=done)


class BarMeter:
    """A bar on a terminal."""

    def __init__(self, title: str, *, total: int, unit: str, done: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}"),
        )
        self._clock = Clock(unit, total=total, done=done)
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(title, total=total, completed=done, rate="", detail="")
        self._progress.start()

    def advance(self, detail: str = "") -> None:
        self._clock.advance()
        self._progress.update(self._task, advance=1, rate=self._clock.rate, detail=detail)

    def close(self) -> None:
        self._progress.stop()


class LineMeter:
    """A line now and then, and one at the end."""

    def __init__(self, title: str, *, total: int, unit: str, done: int) -> None:
        self._title = title
        self._clock = Clock(unit, total=total, done=done)
        self._spoke = time.monotonic()
        self._said = done

    def advance(self, detail: str = "") -> None:
        self._clock.advance()
        now = time.monotonic()
        if self._clock.finished or now - self._spoke >= SECONDS_BETWEEN_LINES:
            self._spoke, self._said = now, self._clock.done
            parts = [
                f"{self._title} {self._clock.done}/{self._clock.total}",
                self._clock.rate,
                self._clock.left,
                detail,
            ]
            log.info("%s", ", ".join(part for part in parts if part))

    def close(self) -> None:
        if self._said != self._clock.done:
            log.info("%s %d/%d", self._title, self._clock.done, self._clock.total)


class Clock:
    """Counts units and says how fast they come and how long the rest will take."""

    def __init__(self, unit: str, *, total: int, done: int) -> None:
        self.total = total
        self.done = done
        self._unit = unit
        self._first = done
        self._started = time.monotonic()

    def advance(self) -> None:
        self.done += 1

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    @property
    def rate(self) -> str:
        """Units per second, or seconds per unit when they are slow."""
        per_unit = self._seconds_per_unit
        singular = self._unit.removesuffix("s")
        return f"{per_unit:.1f} s/{singular}" if per_unit > 1 else f"{1 / max(per_unit, 1e-9):.1f} {self._unit}/s"

    @property
    def left(self) -> str:
        seconds = round(self._seconds_per_unit * (self.total - self.done))
        hours, minutes = divmod(seconds // 60, 60)
        return "" if self.finished else f"{hours}:{minutes:02}:{seconds % 60:02} left"

    @property
    def _seconds_per_unit(self) -> float:
        return (time.monotonic() - self._started) / max(1, self.done - self._first)


class TrainingConsole:
    """Shows a run's events: steps on the meter, rare things as lines."""

    def __init__(self) -> None:
        self._meter: Meter | None = None

    def receive(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._meter = open_meter("training", total=event.total_steps, unit="steps", done=event.step)
            case StepDone():
                if self._meter:
                    self._meter.advance(
                        f"loss {event.loss:.4f}, learning rate {event.learning_rate:.2e}, {event.seconds:.2f} s/step"
                    )
            case StepSkipped():
                log.warning("step %d was skipped: loss %s, gradient norm %s", event.step, event.loss, event.grad_norm)
            case CheckpointSaved():
                log.info("saved %s in %.1f s", event.path, event.seconds)
            case SampleRendered():
                log.info("rendered %s in %.1f s", event.path, event.seconds)
            case RenderFailed():
                log.warning("no validation video at step %d: %s. Training goes on.", event.step, event.reason)
            case RunFinished():
                if self._meter:
                    self._meter.close()
