"""Noise levels of neighbouring samples that are spread evenly over their density. No torch.

The samples of a run, in their order, are cut into windows. A density is cut into as many strata of equal share, and
each sample of a window has one of its own, at a random place within it. Every sample by itself still follows the
density exactly; the mean over a window is far calmer: 1 / n^2 of the variance, for n samples and a function that is
linear in the share.

Source: Owen, "Monte Carlo theory, methods and examples", 2013, chapter 8.4 (stratified sampling).
"""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.randomness import Draws, Purpose

WINDOW = 64
"""Samples that share out the strata, where a step has no more of them."""

EDGE = 2.0**-53
"""How near a share may come to 0 and 1, where some quantiles are infinite."""


@dataclass(frozen=True)
class Strata:
    """samples_per_step: of a full step. A step that ends early leaves some strata of its window without a sample."""

    draws: Draws
    samples_per_step: int

    @property
    def window(self) -> int:
        """Return how many samples share out the strata."""
        return max(WINDOW, self.samples_per_step)

    def share(self, *, step: int, index: int) -> float:
        """Return where in its density, inside (0, 1), a sample's noise level lies. index: its place in the step."""
        number, place = divmod(step * self.samples_per_step + index, self.window)
        stratum = self.draws.stream(Purpose.STRATA, number).permutation(self.window)[place]
        within = self.draws.stream(Purpose.SIGMA, step, index).random()
        return min(max((float(stratum) + within) / self.window, EDGE), 1 - EDGE)
