"""Which noise levels are trained, and how often. All arithmetic in float32 or better.

`sigma` is the noise level: 0 is clean, 1 is pure noise.
"""

from __future__ import annotations

import math

import numpy as np


def sigmoid_normal(generator: np.random.Generator, *, scale: float) -> float:
    """Draw sigma = sigmoid(scale * n), n standard normal: a bell around 0.5.

    Source: the logit-normal density of Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """
    return float(1 / (1 + np.exp(-scale * generator.standard_normal())))


def shift_sigma(sigma: float, shift: float) -> float:
    """Push a noise level toward the noisy end: shift * s / (1 + (shift - 1) * s).

    shift: > 0; 1 changes nothing, 3 sends 0.5 to 0.75.
    Source: Esser et al. 2024, arXiv:2403.03206, resolution-dependent shifting.
    """
    return shift * sigma / (1 + (shift - 1) * sigma)


def sigma_distribution(sigma: float, *, scale: float, shift: float) -> float:
    """Return the share of samples whose noise level is at most `sigma`, for the sigmoid of a normal, then shifted.

    The inverse of the shift, the inverse of the sigmoid, and the distribution of the normal.
    """
    if not 0 < sigma < 1:
        return float(sigma >= 1)
    unshifted = sigma / (shift - (shift - 1) * sigma)
    return 0.5 * (1 + math.erf(math.log(unshifted / (1 - unshifted)) / (scale * math.sqrt(2))))
