"""Arithmetic of noise levels, in float64. No torch.

`sigma` is the noise level: 0 is clean, 1 is pure noise.
"""

from __future__ import annotations

from reeltune.objective.densities import Density, Numbers

NEAREST = 2.0**-24
"""How near training comes to 0 and 1: 1 - 2^-24 is the last number of float32 below 1.

At the ends themselves there is nothing to learn, or no logarithm. Under the default density one sample in 10^60 is
moved by it.
"""


def shift_sigma(sigma: float, shift: float) -> float:
    """Push a noise level toward the noisy end: shift * s / (1 + (shift - 1) * s).

    shift: > 0; 1 changes nothing, 3 sends 0.5 to 0.75.
    Source: Esser et al. 2024, arXiv:2403.03206, resolution-dependent shifting.
    """
    return shift * sigma / (1 + (shift - 1) * sigma)


def inside(sigma: float) -> float:
    """Return the nearest noise level that is strictly between clean and pure noise, in float32 too."""
    return min(max(sigma, NEAREST), 1 - NEAREST)


def shifted_distribution(density: Density, sigmas: Numbers, *, shift: float) -> Numbers:
    """Return the shares of samples whose noise level is at most `sigmas`, drawn from a density and then shifted.

    sigmas: in [0, 1]. A shift is undone by its inverse.
    """
    return density.distribution(sigmas / (shift - (shift - 1) * sigmas))
