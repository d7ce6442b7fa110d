"""The loss of training by noise level, evened out over steps: it tells where the model still learns.

One number for all levels says little, since a sample's loss follows from its level more than from anything else.
"""

from __future__ import annotations

from collections.abc import Iterable

BINS = 10
"""Equal parts of the noise levels 0 to 1."""

HORIZON = 20
"""Samples of one bin after which an older one counts for about a third of a new one."""


class RunningLosses:
    """A running mean of the loss for each tenth of the noise levels: a function of all that was added, in order.

    The mean of all samples until there are HORIZON of them, from then on an exponential one.
    """

    def __init__(self) -> None:
        self._means: list[float | None] = [None] * BINS
        self._counts = [0] * BINS

    def add(self, sigmas: Iterable[float], losses: Iterable[float]) -> None:
        """Take in the samples of a step."""
        for sigma, loss in zip(sigmas, losses, strict=True):
            place = min(int(sigma * BINS), BINS - 1)
            before = self._means[place]
            self._counts[place] += 1
            share = 1 / min(self._counts[place], HORIZON)
            self._means[place] = loss if before is None else before + share * (loss - before)

    def means(self) -> tuple[float | None, ...]:
        """Return the mean of each bin, the cleanest first; None for one that had no sample yet."""
        return tuple(self._means)
