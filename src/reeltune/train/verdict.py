"""What held-out losses say of a run, in words. Pure functions of measurements; no torch.

Two measurements are compared clip by clip: noise and levels are the same, so what differs leaves out how hard a clip
is, which is most of the spread. A clip's change is the logarithm of after / before, as hard clips lose more than easy
ones and about the same share. The mean of the changes has a 95 % interval by Student's t. It holds for clips like
these; with fewer than FEWEST_CLIPS of them the changes at single levels are taken instead, which says how sure the fall
is on these clips and nothing about others: that is weaker, and said.

    learning      lower than at the start: the mean and all of the interval, and the mean change is SMALLEST or more
    worse         higher than at the start, in the same way
    overfitting   the best measurement was lower than the start, and the last RISES are higher than the best one
    no effect     none of these

Without any effect about one measurement in forty looks like learning by chance. The best of many is low by chance, too,
so that comparisons with it share the 5 % among the measurements that it was chosen from (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from reeltune.contracts.events import VerdictKind
from reeltune.train.measurement import ClipLosses, Measurement, standard_error

FEWEST_CLIPS = 3
"""With fewer, a spread over clips means nothing."""

TINY = 1e-12
"""Losses count as no less than this, so that they have a logarithm."""

SMALLEST = 0.001
"""Share of the loss below which a change is no effect, however certain it is."""

RISES = 2
"""Measurements in a row above the best one that make overfitting."""

DOUBT = 0.05
"""Probability with which an interval may miss."""


@dataclass(frozen=True)
class Change:
    """From one measurement to another.

    before, after: mean losses. size: mean logarithm of after / before, and `half_width` of its interval. over: what
    both are taken over. pairs: how many of them; a single one has no interval.
    """

    before: float
    after: float
    size: float
    half_width: float
    pairs: int
    over: Literal["clips", "levels"]

    @property
    def falls(self) -> bool:
        """Tell whether the loss fell for sure, and by enough to matter."""
        return self.after < self.before and self.size + self.half_width < 0 and -math.expm1(self.size) >= SMALLEST

    @property
    def rises(self) -> bool:
        return self.after > self.before and self.size - self.half_width > 0 and math.expm1(self.size) >= SMALLEST

    def __str__(self) -> str:
        numbers = f"from {self.before:.4f} to {self.after:.4f} ({_percent(self.size)}, {self._interval()})"
        return numbers if self.over == "clips" else f"{numbers}; with so few clips, sure of these alone"

    def _interval(self) -> str:
        if not math.isfinite(self.half_width):
            return "one number alone has no interval"
        low, high = (_percent(self.size + sign * self.half_width) for sign in (-1, 1))
        return f"95 % interval {low} to {high} over {self.pairs} {self.over}"


@dataclass(frozen=True)
class Verdict:
    kind: VerdictKind
    text: str


def judge(series: Sequence[Measurement]) -> Verdict:
    """Return what the last measurement of a series says. series: of one dataset and kind of weights, by step.

    Earlier measurements of other clips, captions or levels are left out: their losses cannot be compared.
    """
    latest = series[-1]
    if not math.isfinite(latest.loss):
        return Verdict("worse", f"the held-out loss is not a finite number ({latest.loss})")
    known = [one for one in series if comparable(one, latest) and math.isfinite(one.loss)]
    if len(known) == 1:
        return Verdict("first", "the first measurement; later ones are compared with it")
    best = min(known, key=lambda one: one.loss)
    if _overfits(known, best):
        rise = compare(best, latest)
        return Verdict("overfitting", f"overfitting since step {best.step}: held-out loss rose {rise}")
    return _since_start(known, best)


def _overfits(known: Sequence[Measurement], best: Measurement) -> bool:
    """Tell whether the loss had fallen for sure, and has for sure been higher since then for a while."""
    doubt = DOUBT / len(known)
    last = known[-RISES:]
    later = all(one.step > best.step and compare(best, one, doubt=doubt).rises for one in last)
    return later and compare(known[0], best, doubt=doubt).falls


def _since_start(known: Sequence[Measurement], best: Measurement) -> Verdict:
    first, latest = known[0], known[-1]
    change = compare(first, latest)
    best_was = (
        f"; the lowest was {best.loss:.4f} at step {best.step}" if best.step not in (first.step, latest.step) else ""
    )
    if change.falls:
        return Verdict("learning", f"learning: held-out loss fell {change}{best_was}")
    if change.rises:
        return Verdict("worse", f"worse than at step {first.step}: held-out loss rose {change}{best_was}")
    return Verdict("no effect", f"no effect yet: held-out loss went {change}{best_was}")


def comparable(one: Measurement, other: Measurement) -> bool:
    """Tell whether both measured the same clips with the same captions at the same levels."""
    return _asked(one) == _asked(other)


def compare(before: Measurement, after: Measurement, *, doubt: float = DOUBT) -> Change:
    """Return the change between two measurements of the same clips. doubt: with which the interval may miss."""
    pairs = list(zip(_in_order(before), _in_order(after), strict=True))
    over: Literal["clips", "levels"] = "clips" if len(pairs) >= FEWEST_CLIPS else "levels"
    if over == "clips":
        changes = [_log_ratio(one.mean, two.mean) for one, two in pairs]
    else:
        levels = [both for one, two in pairs for both in zip(one.points, two.points, strict=True)]
        changes = [_log_ratio(one.loss, two.loss) for one, two in levels]
    return Change(before.loss, after.loss, fmean(changes), half_width(changes, doubt=doubt), len(changes), over)


def half_width(changes: Sequence[float], *, doubt: float) -> float:
    """Return half the interval of a mean by Student's t, infinite for a single number."""
    from scipy.special import stdtrit

    error = standard_error(changes)
    return math.inf if error is None else float(stdtrit(len(changes) - 1, 1 - doubt / 2)) * error


def _asked(measurement: Measurement) -> list[tuple[str, tuple[float, ...]]]:
    return [(clip.key, tuple(point.sigma for point in clip.points)) for clip in _in_order(measurement)]


def _in_order(measurement: Measurement) -> list[ClipLosses]:
    """Return the clips by key: the order in which they are found may change between two starts."""
    return sorted(measurement.clips, key=lambda clip: clip.key)


def _log_ratio(before: float, after: float) -> float:
    return math.log(max(after, TINY) / max(before, TINY))


def _percent(change: float) -> str:
    return f"{100 * math.expm1(change):+.2f} %"
