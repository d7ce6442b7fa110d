"""The course of a run as numbers to draw: the loss and the rate of each step, and all measurements of held-out clips.

It is filled from `events.jsonl`, where a run went on, and from the events of the run itself; what is in both counts
once. A run that went on from an earlier step took the later ones again: those are forgotten.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Curve = tuple[tuple[float, float], ...]
"""(sigma, loss), noisiest first."""


@dataclass(frozen=True)
class Measured:
    """The loss on one dataset. standard_error: None where there is none. clips: how many were measured."""

    step: int
    dataset: str
    weights: str
    loss: float
    standard_error: float | None
    clips: int
    curve: Curve
    verdict: str


@dataclass
class Course:
    """Filled by one thread. steps ascend; losses and rates belong to them."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    losses: array[float] = field(default_factory=lambda: array("d"))
    rates: array[float] = field(default_factory=lambda: array("d"))
    _measured: dict[tuple[str, str, int], Measured] = field(default_factory=dict)

    def read(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take in a run's events as the journal keeps them, in order."""
        for record in records:
            match record:
                case {"event": "RunStarted", "step": step}:
                    self.go_on_from(step)
                case {"event": "StepDone", "step": step, "loss": loss, "learning_rate": rate}:
                    self.add_step(step, float(loss), float(rate))
                case {"event": "Evaluated", "standard_error": _}:
                    self.add_measured(measured_of(record))

    def go_on_from(self, step: int) -> None:
        """Forget what came after a step."""
        count = bisect_right(self.steps, step)
        for numbers in (self.steps, self.losses, self.rates):
            del numbers[count:]
        self._measured = {key: one for key, one in self._measured.items() if one.step <= step}

    def add_step(self, step: int, loss: float, rate: float) -> None:
        """Take in a step, unless it is known."""
        if not self.steps or step > self.steps[-1]:
            self.steps.append(step)
            self.losses.append(loss)
            self.rates.append(rate)

    def add_measured(self, measured: Measured) -> None:
        """Take in a measurement; a repeated one replaces the earlier."""
        self._measured[measured.dataset, measured.weights, measured.step] = measured

    @property
    def series(self) -> dict[tuple[str, str], list[Measured]]:
        """Return the measurements by dataset and weights, each by step."""
        groups: dict[tuple[str, str], list[Measured]] = {}
        for one in sorted(self._measured.values(), key=lambda one: one.step):
            groups.setdefault((one.dataset, one.weights), []).append(one)
        return groups

    def kind(self, wanted: str) -> str:
        """Return these weights where they were measured, others where they were not."""
        kinds = [weights for _, weights in self.series]
        return wanted if wanted in kinds or not kinds else kinds[0]

    def means(self, weights: str) -> dict[int, float]:
        """Return by step the mean loss of all clips with these weights; steps where it is no number are left out."""
        steps = self._by_step(weights)
        means = {step: weighted([(one.loss, one.clips) for one in own]) for step, own in steps.items()}
        return {step: mean for step, mean in means.items() if math.isfinite(mean)}

    def best(self, weights: str) -> int | None:
        """Return the earliest step with the lowest finite mean; None without one.

        As `best/` is chosen: step 0 is not among them, nor are steps that measured other datasets, numbers of clips or
        noise levels than the last one.
        """
        steps = {step: own for step, own in self._by_step(weights).items() if step > 0}
        if not steps:
            return None
        latest = _asked(steps[max(steps)])
        like_it = (step for step, own in steps.items() if _asked(own) == latest)
        means = self.means(weights)
        return min((step for step in like_it if step in means), key=lambda step: means[step], default=None)

    def curve(self, step: int, weights: str) -> Curve:
        """Return the loss by noise level at a step: the mean of the clips of all datasets, cleanest first."""
        levels: dict[float, list[tuple[float, int]]] = {}
        for one in self._by_step(weights).get(step, ()):
            for sigma, loss in one.curve:
                levels.setdefault(sigma, []).append((loss, one.clips))
        return tuple((sigma, weighted(levels[sigma])) for sigma in sorted(levels))

    def verdict(self, weights: str) -> str:
        """Return what the last measurement of the first dataset says."""
        return next((own[-1].verdict for (_, kind), own in self.series.items() if kind == weights), "")

    def _by_step(self, weights: str) -> dict[int, list[Measured]]:
        steps: dict[int, list[Measured]] = {}
        for one in sorted(self._measured.values(), key=lambda one: one.step):
            if one.weights == weights:
                steps.setdefault(one.step, []).append(one)
        return steps


def measured_of(record: Mapping[str, Any]) -> Measured:
    """Return a measurement from an event's fields, whether they come from memory or from the journal."""
    error = record["standard_error"]
    return Measured(
        step=record["step"],
        dataset=record["dataset"],
        weights=record["weights"],
        loss=float(record["loss"]),
        standard_error=None if error is None else float(error),
        clips=record["clips"],
        curve=tuple((float(sigma), float(loss)) for sigma, loss, *_ in record["curve"]),
        verdict=record["verdict"],
    )


def _asked(measured: Iterable[Measured]) -> set[tuple[str, int, tuple[float, ...]]]:
    """Return what was measured at a step: by dataset, how many clips at which levels."""
    return {(one.dataset, one.clips, tuple(sigma for sigma, _ in one.curve)) for one in measured}


def weighted(parts: Iterable[tuple[float, int]]) -> float:
    """Return the mean of numbers that stand for so many each."""
    known = list(parts)
    return math.fsum(number * count for number, count in known) / sum(count for _, count in known)
