"""How the learning rate moves over a run, and when rare work is due. Functions of the step, so nothing is saved.

Steps are counted from 0 here: step s is the one that s others came before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from reeltune.config.training import TrainingOptions


def linear(progress: float) -> float:
    return 1 - progress


def cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def constant(progress: float) -> float:
    return 1.0


_CURVES: dict[str, tuple[Callable[[float], float], bool]] = {
    "constant": (constant, False),
    "constant_with_warmup": (constant, True),
    "linear": (linear, True),
    "cosine": (cosine, True),
}
"""Each name's curve over the part after the warm-up (1 at its start), and whether it warms up."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step.

    peak: reached after `warmup` steps of linear rise from peak / warmup. end: reached by decaying curves at the last
    of `total` steps.

    A cosine whose warm-up is as long as the run, or longer, decays over the whole run from the first step: that is what
    configuration files in use mean, written for a reader that took this number as the length of the decay.
    """

    name: str
    peak: float
    end: float
    warmup: int
    total: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, 0 <= step < total."""
        curve, _ = _CURVES[self.name]
        warmup = self.effective_warmup
        if step < warmup:
            return self.peak * (step + 1) / warmup
        progress = (step - warmup) / max(1, self.total - 1 - warmup)
        return self.end + (self.peak - self.end) * curve(min(progress, 1.0))

    @property
    def effective_warmup(self) -> int:
        """Steps of rising rate that the run really has."""
        _, warms_up = _CURVES[self.name]
        decays_at_once = self.name == "cosine" and self.warmup >= self.total
        return 0 if decays_at_once or not warms_up else self.warmup


def schedule_of(options: TrainingOptions, total_steps: int) -> Schedule:
    """Return the curve that the options describe."""
    return Schedule(
        options.lr_scheduler,
        peak=options.learning_rate,
        end=options.lr_end,
        warmup=options.lr_warmup_steps,
        total=total_steps,
    )


@dataclass(frozen=True)
class Every:
    """Rare work: due after every `steps` steps; 0 is never."""

    steps: int

    def due(self, step: int) -> bool:
        """Tell whether it is due when `step` steps are done."""
        return self.steps > 0 and step > 0 and step % self.steps == 0
