"""The objective of a run: draws a noise level and noise for each sample, mixes, and measures the answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.contracts.batch import Batch, Noised
from reeltune.objective.loss import mean_squared_error
from reeltune.objective.path import mix
from reeltune.objective.timesteps import shift_sigma, sigmoid_normal
from reeltune.randomness import Draws, Purpose


@dataclass(frozen=True)
class FlowMatching:
    """Flow matching with noise levels from a sigmoid of a normal variable.

    scale: spread of that variable. shift: see `shift_sigma`; 1 is none.
    """

    draws: Draws
    scale: float = 1.0
    shift: float = 1.0

    def sigma(self, *, step: int, index: int) -> float:
        """Return the noise level of one sample of a step."""
        return shift_sigma(sigmoid_normal(self.draws.stream(Purpose.SIGMA, step, index), scale=self.scale), self.shift)

    def noise(self, batch: Batch, *, step: int, first_index: int) -> Noised:
        """Return the batch on its way to noise; `first_index` is its first sample's place in the whole step."""
        places = range(first_index, first_index + batch.size)
        shape = tuple(batch.latents.shape[1:])
        noise = torch.stack([self.draws.noise(shape, step=step, index=place) for place in places])
        sigma = torch.tensor([self.sigma(step=step, index=place) for place in places])
        device = batch.latents.device
        return mix(batch.latents.float(), noise.to(device), sigma.to(device))

    def loss(self, velocity: Float[Tensor, "B C T h w"], noised: Noised) -> Float[Tensor, " B"]:
        """Return each sample's loss, float32."""
        return mean_squared_error(velocity, noised.target)
