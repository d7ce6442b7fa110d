"""The learning rate as `lr_scale` makes it."""

from __future__ import annotations

import math

from reeltune.config.optimization import OptimizationOptions


def scaled_rate(options: OptimizationOptions, samples: int) -> float:
    """Return learning_rate, with lr_scale times the samples of a step, or times their square root."""
    if not options.lr_scale:
        return options.learning_rate
    return options.learning_rate * (math.sqrt(samples) if options.lr_scale_sqrt else samples)
