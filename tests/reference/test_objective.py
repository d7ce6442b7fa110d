"""The objective is its formula in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from helpers.tiny import random_batch
from reeltune.objective.flow import FlowMatching
from reeltune.objective.noise import draw_noise
from reeltune.objective.shift import Shift, size_shift
from reeltune.randomness import Draws


def test_the_path_and_the_loss_are_the_formula_in_float64() -> None:
    objective = FlowMatching(Draws(42), shift=Shift(3.0))
    batch = random_batch(size=3)
    noised = objective.noise(batch, step=7, first_index=4)
    # The stream of a run's noise (2) at a step and a sample's place in it, as a saved run relies on it.
    streams = [np.random.Philox(counter=[0, 4 + place, 7, 0], key=[42, 2]) for place in range(3)]
    noise = np.stack([np.random.Generator(s).standard_normal((16, 5, 8, 12), dtype=np.float32) for s in streams])
    clean, noise = batch.latents.numpy().astype(np.float64), noise.astype(np.float64)
    sigma = np.array([objective.sigma(step=7, index=4 + place, shift=3.0) for place in range(3)])
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


def test_noise_is_standard_normal_and_independent_between_samples() -> None:
    draws = Draws(5)
    first, second, third = (
        draw_noise(draws, (16, 5, 8, 12), step=step, index=index).numpy().ravel()
        for step, index in ((0, 0), (0, 1), (1, 0))
    )
    assert stats.kstest(first, "norm").pvalue > 0.01
    for other in (second, third):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("height", "width", "shift"),
    # (h / 2)(w / 2) tokens of one latent frame; 256 and fewer give exp(0.5), 4096 and more exp(1.15).
    [
        (16, 16, np.exp(0.5)),
        (32, 32, np.exp(0.5)),
        (128, 128, np.exp(1.15)),
        (200, 200, np.exp(1.15)),
        (44, 80, 1.8324),
    ],
)
def test_the_shift_that_follows_the_size(height: int, width: int, shift: float) -> None:
    assert size_shift(height, width) == pytest.approx(shift, rel=1e-4)


def test_each_bucket_has_the_shift_of_its_size() -> None:
    batch = random_batch(size=2)
    follows = FlowMatching(Draws(4), shift=Shift(follows_size=True)).noise(batch, step=1, first_index=0).sigma
    height, width = batch.latents.shape[3:]
    fixed = FlowMatching(Draws(4), shift=Shift(size_shift(height, width))).noise(batch, step=1, first_index=0).sigma
    assert torch.equal(follows, fixed)
