"""Which noise levels are trained, and how often. All arithmetic in float32 or better.

`sigma` is the noise level: 0 is clean, 1 is pure noise.
"""

from __future__ import annotations

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
