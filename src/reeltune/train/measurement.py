"""What a measurement of held-out clips found: the loss of each clip at each noise level. No torch.

These are the primary numbers. Means, errors and curves are worked out from them, and two measurements are compared clip
by clip.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

Curve = tuple[tuple[float, float, float | None], ...]
"""(sigma, mean loss of the clips measured there, its standard error over them or None), noisiest first."""


@dataclass(frozen=True)
class Point:
    """The loss of one clip at one noise level."""

    sigma: float
    loss: float


@dataclass(frozen=True)
class ClipLosses:
    """One clip's losses. id: for people. key: names the encoded clip and caption that were measured."""

    id: str
    key: str
    points: tuple[Point, ...]

    @property
    def mean(self) -> float:
        return fmean(point.loss for point in self.points)


@dataclass(frozen=True)
class Measurement:
    """The losses of a dataset's held-out clips after `step` steps; there is at least one clip."""

    step: int
    dataset: str
    weights: Literal["raw", "ema"]
    clips: tuple[ClipLosses, ...]

    @property
    def loss(self) -> float:
        """Return the mean over clips and noise levels."""
        return fmean(point.loss for clip in self.clips for point in clip.points)

    @property
    def error_over(self) -> Literal["clips", "levels"]:
        """Return what the standard error is taken over: a single clip has only its levels."""
        return "clips" if len(self.clips) > 1 else "levels"

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the loss; None with a single number."""
        if self.error_over == "clips":
            return standard_error([clip.mean for clip in self.clips])
        return standard_error([point.loss for point in self.clips[0].points])

    @property
    def curve(self) -> Curve:
        return curve_of([point for clip in self.clips for point in clip.points])


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample over the root of its size; None for fewer than two values."""
    if len(values) < 2:
        return None
    return stdev(values) / math.sqrt(len(values)) if all(map(math.isfinite, values)) else math.nan


def curve_of(points: Sequence[Point]) -> Curve:
    """Return the mean loss at each noise level, and its standard error.

    With a shift that follows the frame size, clips of other sizes are measured at other levels.
    """
    losses: defaultdict[float, list[float]] = defaultdict(list)
    for point in points:
        losses[point.sigma].append(point.loss)
    return tuple((sigma, fmean(losses[sigma]), standard_error(losses[sigma])) for sigma in sorted(losses, reverse=True))
