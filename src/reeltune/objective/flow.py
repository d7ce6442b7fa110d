"""The objective of a run: draws a noise level and noise for each sample, mixes, and measures the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.contracts.batch import Batch, KeptTokens, Noised
from reeltune.objective.loss import mean_squared_error
from reeltune.objective.noise import draw_noise
from reeltune.objective.path import mix
from reeltune.objective.shift import Shift
from reeltune.objective.timesteps import shift_sigma, sigmoid_normal
from reeltune.randomness import Draws, Purpose


@runtime_checkable
class ChooseTokens(Protocol):
    def __call__(self, batch: Batch, *, step: int, first_index: int) -> tuple[KeptTokens, ...]:
        """Return which tokens each sample keeps where; the first sample's place in the whole step is first_index."""
        ...


def keep_all(batch: Batch, *, step: int, first_index: int) -> tuple[KeptTokens, ...]:
    """Send every token through every block."""
    return ()


@dataclass(frozen=True)
class FlowMatching:
    """Flow matching with noise levels from a sigmoid of a normal variable.

    scale: spread of that variable. choose_tokens: which tokens take part in which blocks.
    """

    draws: Draws
    scale: float = 1.0
    shift: Shift = Shift()
    choose_tokens: ChooseTokens = keep_all

    def sigma(self, *, step: int, index: int, shift: float) -> float:
        """Return the noise level of one sample of a step."""
        return shift_sigma(sigmoid_normal(self.draws.stream(Purpose.SIGMA, step, index), scale=self.scale), shift)

    def noise(self, batch: Batch, *, step: int, first_index: int) -> Noised:
        """Return the batch on its way to noise; `first_index` is its first sample's place in the whole step."""
        places = range(first_index, first_index + batch.size)
        shape = tuple(batch.latents.shape[1:])
        shift = self.shift.at(latent_height=shape[2], latent_width=shape[3])
        noise = torch.stack([draw_noise(self.draws, shape, step=step, index=place) for place in places])
        sigma = torch.tensor([self.sigma(step=step, index=place, shift=shift) for place in places])
        device = batch.latents.device
        noised = mix(batch.latents.float(), noise.to(device), sigma.to(device))
        return replace(noised, kept=self.choose_tokens(batch, step=step, first_index=first_index))

    def loss(self, velocity: Float[Tensor, "B C T h w"], noised: Noised) -> Float[Tensor, " B"]:
        """Return each sample's loss, float32."""
        return mean_squared_error(velocity, noised.target)
