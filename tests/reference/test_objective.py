"""The objective is its formula in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from helpers.tiny import random_batch
from reeltune.objective.flow import FlowMatching
from reeltune.objective.timesteps import shift_sigma
from reeltune.randomness import Draws


def test_the_path_and_the_loss_are_the_formula_in_float64() -> None:
    objective = FlowMatching(Draws(42), shift=3.0)
    batch = random_batch(size=3)
    noised = objective.noise(batch, step=7, first_index=4)
    noise = np.stack([Draws(42).noise((16, 5, 8, 12), step=7, index=4 + place).numpy() for place in range(3)])
    clean, noise = batch.latents.numpy().astype(np.float64), noise.astype(np.float64)
    sigma = np.array([objective.sigma(step=7, index=4 + place) for place in range(3)])
    level = sigma.reshape(-1, 1, 1, 1, 1)
    # One rounding of float32 in each of two products and a sum of values below 8.
    np.testing.assert_allclose(noised.x_t.numpy(), (1 - level) * clean + level * noise, atol=2e-6)
    np.testing.assert_allclose(noised.target.numpy(), noise - clean, atol=1e-6)
    np.testing.assert_allclose(noised.sigma.numpy(), sigma, rtol=1e-7)
    velocity = random_batch(size=3, seed=9).latents
    expected = ((velocity.numpy().astype(np.float64) - (noise - clean)) ** 2).reshape(3, -1).mean(1)
    np.testing.assert_allclose(objective.loss(velocity, noised).numpy(), expected, rtol=1e-6)


def test_everything_is_float32_for_a_bfloat16_latent() -> None:
    batch = random_batch()
    half = replace(batch, latents=batch.latents.bfloat16())
    objective = FlowMatching(Draws(0))
    noised = objective.noise(half, step=0, first_index=0)
    assert {noised.x_t.dtype, noised.target.dtype, noised.sigma.dtype} == {torch.float32}
    assert objective.loss(batch.latents.bfloat16(), noised).dtype == torch.float32


@pytest.mark.parametrize(
    ("shift", "sigma", "shifted"),
    [(3, 0.5, 0.75), (0.1, 0.5, 0.0909), (1, 0.3, 0.3), (5, 0.25, 0.625), (8, 0.9, 0.9863), (3, 0, 0), (3, 1, 1)],
)
def test_shift(shift: float, sigma: float, shifted: float) -> None:
    assert shift_sigma(float(sigma), float(shift)) == pytest.approx(shifted, abs=1e-4)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1.0), (1.6, 1.0), (1.0, 3.0)])
def test_noise_levels_follow_their_density(scale: float, shift: float) -> None:
    objective = FlowMatching(Draws(1), scale=scale, shift=shift)
    drawn = [objective.sigma(step=step, index=index) for step in range(1000) for index in range(4)]

    def distribution(sigma: np.ndarray) -> np.ndarray:
        unshifted = sigma / (shift - (shift - 1) * sigma)
        return stats.norm.cdf(np.log(unshifted / (1 - unshifted)) / scale)

    assert stats.kstest(drawn, distribution).pvalue > 0.01


def test_noise_is_standard_normal_and_independent_between_samples() -> None:
    draws = Draws(5)
    first, second, third = (
        draws.noise((16, 5, 8, 12), step=step, index=index).numpy().ravel() for step, index in ((0, 0), (0, 1), (1, 0))
    )
    assert stats.kstest(first, "norm").pvalue > 0.01
    for other in (second, third):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.05
