"""The objective of a run: draws a noise level and noise for each sample, mixes, and measures the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.config.objective import ObjectiveOptions
from reeltune.contracts.batch import Batch, KeptTokens, Noised
from reeltune.objective.densities import Density, SigmoidNormal, density_of
from reeltune.objective.loss import Loss, loss_of
from reeltune.objective.noise import draw_noise
from reeltune.objective.path import mix
from reeltune.objective.shift import Shift, shift_of
from reeltune.objective.strata import Strata
from reeltune.objective.timesteps import inside, shift_sigma
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
    """Flow matching: which noise levels, how an answer is judged, and which tokens take part in which blocks.

    strata: spreads the noise levels of neighbouring samples evenly; None draws each alone. masked_share: of the samples
    with a mask, how many are judged by it.
    """

    draws: Draws
    density: Density = SigmoidNormal()
    strata: Strata | None = None
    shift: Shift = Shift()
    judge: Loss = Loss()
    masked_share: float = 1.0
    choose_tokens: ChooseTokens = keep_all

    def sigma(self, *, step: int, index: int, shift: float) -> float:
        """Return the noise level of one sample of a step, strictly between 0 and 1."""
        if self.strata:
            drawn = self.density.quantile(np.array([self.strata.share(step=step, index=index)]))
        else:
            drawn = self.density.draw(self.draws.stream(Purpose.SIGMA, step, index), 1)
        return inside(shift_sigma(float(drawn[0]), shift))

    def noise(self, batch: Batch, *, step: int, first_index: int) -> Noised:
        """Return the batch on its way to noise; `first_index` is its first sample's place in the whole step."""
        places = range(first_index, first_index + batch.size)
        shape = tuple(batch.latents.shape[1:])
        # Added to the logit of a noise level, an offset is a shift by its exponential.
        shift = self.shift.at(latent_height=shape[2], latent_width=shape[3]) * math.exp(batch.sigma_offset)
        noise = torch.stack([draw_noise(self.draws, shape, step=step, index=place) for place in places])
        sigma = torch.tensor([self.sigma(step=step, index=place, shift=shift) for place in places])
        device = batch.latents.device
        noised = mix(batch.latents.float(), noise.to(device, non_blocking=True), sigma.to(device, non_blocking=True))
        kept = self.choose_tokens(batch, step=step, first_index=first_index)
        return replace(noised, kept=kept, mask=self._mask(batch, step=step, places=places))

    def _mask(self, batch: Batch, *, step: int, places: range) -> Float[Tensor, "B T h w"] | None:
        """Return how much each place counts; a sample that is drawn to be trained whole has ones."""
        if batch.mask is None or self.masked_share == 1:
            return batch.mask
        chances = [self.draws.stream(Purpose.MASKING, step, place).random() for place in places]
        masked = torch.tensor([chance < self.masked_share for chance in chances]).view(-1, 1, 1, 1)
        return torch.where(masked.to(batch.mask.device, non_blocking=True), batch.mask, torch.ones_like(batch.mask))

    def loss(self, velocity: Float[Tensor, "B C T h w"], noised: Noised) -> Float[Tensor, " B"]:
        """Return each sample's loss, float32."""
        return self.judge.of(velocity, noised)


def objective_of(
    options: ObjectiveOptions, draws: Draws, *, samples_per_step: int, choose_tokens: ChooseTokens = keep_all
) -> FlowMatching:
    """Return the objective that the options describe. samples_per_step: of a full step."""
    return FlowMatching(
        draws,
        density=density_of(options),
        strata=Strata(draws, samples_per_step) if options.flow_stratified_sampling else None,
        shift=shift_of(options),
        judge=loss_of(options),
        masked_share=options.masked_loss_probability,
        choose_tokens=choose_tokens,
    )
