"""How far the predicted velocity is from the wanted one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.config.objective import ObjectiveOptions
from reeltune.contracts.batch import Noised

Video = Float[Tensor, "B C T h w"]
Places = Float[Tensor, "B T h w"]
PerSample = Float[Tensor, " B"]
Limit = Float[Tensor, "B 1 1 1 1"]

EMPTY = 1e-6
"""Sum of a mask below which it is empty: less than a millionth of one place counts."""


def mean_squared_error(velocity: Video, target: Video) -> PerSample:
    """Return each sample's mean squared error, in float32."""
    return (velocity.float() - target.float()).square().flatten(1).mean(1)


def squared(difference: Video, c: Limit) -> Video:
    """Return d^2; c is not used."""
    return difference.square()


def smooth_l1(difference: Video, c: Limit) -> Video:
    """Return 2 (sqrt(d^2 + c^2) - c): d^2 / c where d is far below c, and 2 |d| far above it.

    Written as 2 d^2 / (sqrt(d^2 + c^2) + c), which is the same and loses no digits where d is small.
    Source: the pseudo-Huber loss; Charbonnier et al. 1997, "Deterministic edge-preserving regularization".
    """
    square = difference.square()
    return 2 * square / ((square + c.square()).sqrt() + c)


def huber(difference: Video, c: Limit) -> Video:
    """Return 2 c (sqrt(d^2 + c^2) - c): d^2 where d is far below c, and 2 c |d| far above it."""
    return c * smooth_l1(difference, c)


def constant_c(c: float, sigma: PerSample) -> PerSample:
    """Return c at every noise level."""
    return torch.full_like(sigma, c)


def exponential_c(c: float, sigma: PerSample) -> PerSample:
    """Return c^sigma: 1 without noise, c at pure noise.

    Source: Khrapov et al. 2024, arXiv:2403.16728 (scheduled pseudo-Huber loss), with sigma for t / T.
    """
    return torch.exp(math.log(c) * sigma)


def snr_c(c: float, sigma: PerSample) -> PerSample:
    """Return (1 - c)(1 - sigma)^2 + c: 1 without noise, c at pure noise.

    Source: Khrapov et al. 2024, arXiv:2403.16728: (1 - c) / (1 + r)^2 + c, r the ratio of noise to clean, here
    sigma / (1 - sigma).
    """
    return (1 - c) * (1 - sigma).square() + c


def sigma_sqrt(sigma: PerSample) -> PerSample:
    """Return 1 / sigma^2: from 1 at pure noise to without bound near clean. Source: diffusers' training utilities."""
    return sigma**-2.0


def cosmap(sigma: PerSample) -> PerSample:
    """Return 2 / (pi (1 - 2 sigma + 2 sigma^2)). Source: Esser et al. 2024, arXiv:2403.03206, section 3.1."""
    return 2 / (math.pi * (1 - 2 * sigma + 2 * sigma.square()))


ERRORS: Mapping[str, Callable[[Video, Limit], Video]] = {"l2": squared, "huber": huber, "smooth_l1": smooth_l1}
SCHEDULES: Mapping[str, Callable[[float, PerSample], PerSample]] = {
    "constant": constant_c,
    "exponential": exponential_c,
    "snr": snr_c,
}
WEIGHTS: Mapping[str, Callable[[PerSample], PerSample]] = {"sigma_sqrt": sigma_sqrt, "cosmap": cosmap}
"""By name, what the options loss_type, huber_schedule and loss_weighting choose; a weighting of none has no entry."""


@dataclass(frozen=True)
class Loss:
    """How an answer is judged. c: of huber and smooth_l1, in units of the latents, at the noisiest."""

    kind: str = "l2"
    c: float = 0.1
    schedule: str = "snr"
    weighting: str = "none"

    def of(self, velocity: Video, noised: Noised) -> PerSample:
        """Return each sample's loss, float32: the mean error over the places that count, weighted by noise level."""
        c = SCHEDULES[self.schedule](self.c, noised.sigma).view(-1, 1, 1, 1, 1)
        error = ERRORS[self.kind](velocity.float() - noised.target.float(), c)
        if noised.mask is not None:
            error = error * shares(noised.mask).unsqueeze(1)
        loss = error.flatten(1).mean(1)
        weigh = WEIGHTS.get(self.weighting)
        return weigh(noised.sigma) * loss if weigh else loss


def shares(mask: Places) -> Places:
    """Return each place's part of a sample's mean: all 1 for a mask of ones, all 0 for an empty one.

    Multiplied in before the plain mean, so that a mask of ones is no mask to the bit, and a mean over few places is as
    large as one over all.
    """
    total = mask.float().sum((1, 2, 3), keepdim=True)
    return mask.float() * (mask[0].numel() / total.clamp_min(EMPTY))


def loss_of(options: ObjectiveOptions) -> Loss:
    """Return the loss that the options describe."""
    return Loss(options.loss_type, options.huber_c, options.huber_schedule, options.loss_weighting)
