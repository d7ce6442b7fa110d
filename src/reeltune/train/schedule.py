"""How the learning rate moves over a run, and when rare work is due. Functions of the step, so nothing is saved.

Steps are counted from 0 here: step s is the one that s others came before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from reeltune.config.optimization import OptimizationOptions
from reeltune.config.optimizer_names import SCHEDULE_FREE
from reeltune.config.scaled_rate import scaled_rate


@dataclass(frozen=True)
class Curve:
    """How the rate moves after the warm-up.

    share: of the way from end up to peak, at a progress from 0 to 1 of a schedule. warms_up: whether it has a warm-up.
    forgoes_whole_warmup: a warm-up as long as the run, or longer, means none and decay over the whole run. That is what
    configuration files in use mean, written for a reader that took this number as the length of the decay.
    """

    share: Callable[[Schedule, float], float]
    warms_up: bool = True
    forgoes_whole_warmup: bool = False


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step.

    peak: reached after `warmup` steps of linear rise from peak / warmup. end: reached by decaying curves at the last
    of `total` steps. power: of `polynomial`. cycles: of `cosine_with_restarts`.
    """

    name: str
    peak: float
    end: float
    warmup: int
    total: int
    power: float = 0.8
    cycles: int = 1

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, 0 <= step < total."""
        warmup = self.effective_warmup
        if step < warmup:
            return self.peak * (step + 1) / warmup
        progress = (step - warmup) / max(1, self.total - 1 - warmup)
        return self.end + (self.peak - self.end) * CURVES[self.name].share(self, min(progress, 1.0))

    @property
    def effective_warmup(self) -> int:
        """Steps of rising rate that the run really has."""
        curve = CURVES[self.name]
        forgone = curve.forgoes_whole_warmup and self.warmup >= self.total
        return 0 if forgone or not curve.warms_up else self.warmup


def constant(schedule: Schedule, progress: float) -> float:
    return 1.0


def linear(schedule: Schedule, progress: float) -> float:
    return 1 - progress


def polynomial(schedule: Schedule, progress: float) -> float:
    """(1 - p) ** power: below 1 the rate stays high for longer than a straight line."""
    return (1 - progress) ** schedule.power


def cosine(schedule: Schedule, progress: float) -> float:
    """(1 + cos(pi p)) / 2."""
    return (1 + math.cos(math.pi * progress)) / 2


def sine(schedule: Schedule, progress: float) -> float:
    """sin(pi (1 - p) / 2): a quarter of a sine read backwards, flat at its start and steepest at its end."""
    return math.sin(math.pi * (1 - progress) / 2)


def cosine_with_restarts(schedule: Schedule, progress: float) -> float:
    """As many cosines in a row, each from full rate to the end; one is `cosine`."""
    # Rounded: a third of the way in three cycles is a restart, and not the last bit of a cycle that is not quite over.
    turns = round(schedule.cycles * progress, 12)
    return cosine(schedule, 1.0 if progress == 1 else turns % 1)


CURVES: dict[str, Curve] = {
    "constant": Curve(constant, warms_up=False),
    "constant_with_warmup": Curve(constant),
    "linear": Curve(linear),
    "polynomial": Curve(polynomial),
    "cosine": Curve(cosine, forgoes_whole_warmup=True),
    "sine": Curve(sine, forgoes_whole_warmup=True),
    "cosine_with_restarts": Curve(cosine_with_restarts, forgoes_whole_warmup=True),
}


def schedule_of(options: OptimizationOptions, total_steps: int, *, samples: int) -> Schedule:
    """Return the curve that the options describe. samples: that a step sees.

    Optimizers that need no decay have none, whatever the curve: the rate rises for all of lr_warmup_steps, and stays.
    """
    schedule = Schedule(
        options.lr_scheduler,
        peak=scaled_rate(options, samples),
        end=options.lr_end,
        warmup=options.lr_warmup_steps,
        total=total_steps,
        power=options.lr_power,
        cycles=options.lr_num_cycles,
    )
    return replace(schedule, name="constant_with_warmup") if options.optimizer in SCHEDULE_FREE else schedule


@dataclass(frozen=True)
class Every:
    """Rare work: due after every `steps` steps; 0 is never."""

    steps: int

    def due(self, step: int) -> bool:
        """Tell whether it is due when `step` steps are done."""
        return self.steps > 0 and step > 0 and step % self.steps == 0
