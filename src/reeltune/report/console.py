"""What a person sees while waiting: how far a loop has come, and a run's events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from reeltune.contracts.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)
from reeltune.contracts.progress import Item
from reeltune.report.clock import Clock, duration
from reeltune.report.meters import Meter, NoMeter, open_meter

log = logging.getLogger(__name__)


def track(items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]:
    """Hand the items through while showing progress; see `contracts.progress.Track`."""
    meter = open_meter(title, Clock(unit, total=total), silent_s=1.0)
    try:
        for item in items:
            yield item
            meter.advance()
    finally:
        meter.close()


def told_of(event: StepDone) -> tuple[str, ...]:
    """Return a step's own numbers, the most important first; how fast it went comes last, where there is room."""
    speed = f"{event.tokens_per_second:,.0f} tokens/s" if event.mfu is None else f"MFU {event.mfu:.0%}"
    return f"loss {event.loss:.4f}", f"lr {event.learning_rate:.1e}", f"step {event.seconds:.1f} s", speed


class TrainingConsole:
    """Shows a run's events: steps on the meter, rare things as lines.

    The meter's rate and remaining time count wall time, with checkpoints and renders; its detail is the step's own.
    """

    def __init__(self) -> None:
        self._meter: Meter = NoMeter()
        self._clock: Clock | None = None

    def receive(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.close()
                self._clock = Clock("steps", total=event.total_steps, done=event.step)
                self._meter = open_meter("training", self._clock)
            case StepDone():
                self._meter.advance(*told_of(event))
            case StepSkipped():
                numbers = f"loss {event.loss}, gradient norm {event.grad_norm}"
                log.warning("step %d was skipped: %s, samples %s", event.step, numbers, ", ".join(event.ids))
                self._meter.advance("skipped")
            case CheckpointSaved():
                log.info("saved %s in %s", event.path, duration(event.seconds))
            case SampleRendered():
                log.info("rendered %s in %s", event.path, duration(event.seconds))
                if event.weights == "base" and self._clock:
                    # Made before the first step: no step took so long.
                    self._clock.restart()
            case RenderFailed():
                log.warning("no validation video at step %d: %s. Training goes on.", event.step, event.reason)
            case Evaluated():
                error = "" if event.standard_error is None else f" ± {event.standard_error:.4f}"
                numbers = (event.step, event.loss, error, event.dataset, event.weights, event.verdict)
                log.info("step %d: held-out loss %.4f%s on %s, %s weights; %s", *numbers)
                if event.step == 0 and self._clock:
                    # Measured before the first step: no step took so long.
                    self._clock.restart()
            case RunFinished():
                self.close()

    def close(self) -> None:
        """Let go of the terminal, so that the cursor is back; closing again does nothing."""
        self._meter.close()
