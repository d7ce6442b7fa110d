"""How far training is pushed toward noise: by a fixed shift, or by one that follows the frame size. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reeltune.config.objective import ObjectiveOptions

LEAST = (256, 0.5)
MOST = (4096, 1.15)
"""Tokens of one latent frame, and the logarithm of the shift there; between them it is a straight line."""


def size_shift(latent_height: int, latent_width: int) -> float:
    """Return exp(mu), mu linear in the tokens of one latent frame, (h / 2)(w / 2), and clamped to 0.5 ... 1.15.

    Source: Esser et al. 2024, arXiv:2403.03206, resolution-dependent shifting, with the ends that FLUX.1's scheduler
    configuration has. Counted on one frame: on all of a video's, the line would give shifts in the hundreds.
    """
    tokens = (latent_height / 2) * (latent_width / 2)
    share = (tokens - LEAST[0]) / (MOST[0] - LEAST[0])
    return math.exp(LEAST[1] + (MOST[1] - LEAST[1]) * min(max(share, 0.0), 1.0))


@dataclass(frozen=True)
class Shift:
    """The shift of a run. fixed: 1 is none. follows_size: it is `size_shift`, and `fixed` is not used."""

    fixed: float = 1.0
    follows_size: bool = False

    def at(self, *, latent_height: int, latent_width: int) -> float:
        """Return the shift for latents of these sides."""
        return size_shift(latent_height, latent_width) if self.follows_size else self.fixed


def shift_of(options: ObjectiveOptions) -> Shift:
    """Return the shift that the options describe; unset and 0 are none."""
    return Shift(options.flow_schedule_shift or 1.0, follows_size=options.flow_schedule_auto_shift)
