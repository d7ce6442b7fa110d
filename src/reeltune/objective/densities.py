"""How often which noise level is drawn, before any shift. No torch.

A density gives independent draws, its quantile and its distribution, all of whole arrays in float64. `sigma` is the
noise level: 0 is clean, 1 is pure noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from reeltune.config.objective import ObjectiveOptions

Numbers = NDArray[np.float64]

_NORMAL = NormalDist()


@runtime_checkable
class Density(Protocol):
    def draw(self, generator: np.random.Generator, count: int) -> Numbers:
        """Draw so many noise levels, each alone."""
        ...

    def quantile(self, shares: Numbers) -> Numbers:
        """Return the noise levels that these shares of the draws lie below. shares: inside (0, 1)."""
        ...

    def distribution(self, sigmas: Numbers) -> Numbers:
        """Return the shares of the draws that are at most these noise levels."""
        ...

    def __str__(self) -> str:
        """Return the density in words."""
        ...


@dataclass(frozen=True)
class SigmoidNormal:
    """sigma = sigmoid(mean + scale * n), n standard normal: a bell, around 0.5 for mean 0.

    Source: the logit-normal density of Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """

    mean: float = 0.0
    scale: float = 1.0

    def draw(self, generator: np.random.Generator, count: int) -> Numbers:
        return self._sigmoid(generator.standard_normal(count))

    def quantile(self, shares: Numbers) -> Numbers:
        return self._sigmoid(np.array([_NORMAL.inv_cdf(share) for share in shares.tolist()]))

    def distribution(self, sigmas: Numbers) -> Numbers:
        with np.errstate(divide="ignore"):  # the logit of 0 and of 1 is infinite, and the distribution there is not
            normal = (np.log(sigmas) - np.log1p(-sigmas) - self.mean) / self.scale
        return np.array([_NORMAL.cdf(number) for number in normal.tolist()])

    def _sigmoid(self, normal: Numbers) -> Numbers:
        with np.errstate(over="ignore"):  # the sigmoid of what is far below 0 is 0
            return 1 / (1 + np.exp(-(self.mean + self.scale * normal)))

    def __str__(self) -> str:
        return f"sigmoid of a normal variable of mean {self.mean:g} and spread {self.scale:g}"


@dataclass(frozen=True)
class Uniform:
    """Every noise level equally often."""

    def draw(self, generator: np.random.Generator, count: int) -> Numbers:
        return generator.random(count)

    def quantile(self, shares: Numbers) -> Numbers:
        return shares

    def distribution(self, sigmas: Numbers) -> Numbers:
        return sigmas

    def __str__(self) -> str:
        return "all equally often"


@dataclass(frozen=True)
class Beta:
    """The beta distribution: more noise the larger alpha, less the larger beta; both 1 is `Uniform`."""

    alpha: float
    beta: float

    def draw(self, generator: np.random.Generator, count: int) -> Numbers:
        return generator.beta(self.alpha, self.beta, count)

    def quantile(self, shares: Numbers) -> Numbers:
        from scipy.special import betaincinv

        return betaincinv(self.alpha, self.beta, shares)

    def distribution(self, sigmas: Numbers) -> Numbers:
        from scipy.special import betainc

        return betainc(self.alpha, self.beta, sigmas)

    def __str__(self) -> str:
        return f"beta distribution of {self.alpha:g} and {self.beta:g}"


def density_of(options: ObjectiveOptions) -> Density:
    """Return the density that the options describe; more than one switch is refused when they are read."""
    if options.flow_use_uniform_schedule:
        return Uniform()
    if options.flow_use_beta_schedule:
        return Beta(options.flow_beta_schedule_alpha, options.flow_beta_schedule_beta)
    return SigmoidNormal(options.flow_sigmoid_mean, options.flow_sigmoid_scale)
