"""Noise levels follow their density: against scipy's distributions, a million draws each, and numbers worked out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special, stats

from helpers.tiny import random_batch
from reeltune.config.objective import ObjectiveOptions
from reeltune.objective.densities import Beta, Density, SigmoidNormal, Uniform, density_of
from reeltune.objective.flow import FlowMatching
from reeltune.objective.strata import EDGE, Strata
from reeltune.objective.timesteps import NEAREST, inside, shift_sigma, shifted_distribution
from reeltune.randomness import Draws

DENSITIES: tuple[tuple[Density, object], ...] = (
    (SigmoidNormal(), stats.norm(0, 1)),
    (SigmoidNormal(mean=-0.5, scale=1.6), stats.norm(-0.5, 1.6)),
    (Uniform(), stats.uniform()),
    (Beta(2.0, 2.0), stats.beta(2, 2)),
    (Beta(0.5, 0.5), stats.beta(0.5, 0.5)),
    (Beta(4.0, 1.5), stats.beta(4, 1.5)),
)
"""Each with scipy's own: for sigmoids that of the normal variable, whose argument is the logit."""

NAMED = [str(density) for density, _ in DENSITIES]
SHIFTS = (1.0, 0.1, 3.0, 8.0)
MILLION = 1_000_000


def expected(density: Density, reference: object, sigma: np.ndarray, shift: float = 1.0) -> np.ndarray:
    """Return scipy's distribution at noise levels that were shifted."""
    unshifted = sigma / (shift - (shift - 1) * sigma)
    place = special.logit(unshifted) if isinstance(density, SigmoidNormal) else unshifted
    return reference.cdf(place)  # pyright: ignore[reportAttributeAccessIssue]


def distance(sigma: np.ndarray, distribution: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of draws, ascending, from the distribution at them."""
    steps = np.arange(len(sigma) + 1) / len(sigma)
    return float(max(np.max(steps[1:] - distribution), np.max(distribution - steps[:-1])))


# sqrt(n) D above this happens to one right sample in a hundred; the seed is one of the others.
CRITICAL = float(stats.kstwobign.isf(0.01)) / math.sqrt(MILLION)


@pytest.mark.parametrize(("density", "reference"), DENSITIES, ids=NAMED)
def test_a_million_draws_follow_their_density_under_every_shift(density: Density, reference: object) -> None:
    drawn = np.sort(density.draw(np.random.default_rng(11), MILLION))
    assert 0 <= drawn[0]
    assert drawn[-1] <= 1
    for shift in SHIFTS:
        shifted = shift * drawn / (1 + (shift - 1) * drawn)
        # What training does to single numbers, on the whole array.
        assert shifted[::99_999].tolist() == [shift_sigma(sigma, shift) for sigma in drawn[::99_999].tolist()]
        shifted = np.clip(shifted, NEAREST, 1 - NEAREST)
        assert distance(shifted, expected(density, reference, shifted, shift)) < CRITICAL


@pytest.mark.parametrize(("density", "reference"), DENSITIES, ids=NAMED)
def test_another_density_of_nearly_the_same_shape_would_be_noticed(density: Density, reference: object) -> None:
    drawn = np.sort(density.draw(np.random.default_rng(11), MILLION))
    assert distance(drawn, expected(density, reference, np.clip(drawn, NEAREST, 1 - NEAREST), 1.02)) > CRITICAL


@pytest.mark.parametrize(("density", "reference"), DENSITIES, ids=NAMED)
def test_distribution_and_quantile_are_scipys(density: Density, reference: object) -> None:
    sigmas = np.linspace(0.001, 0.999, 401)
    shares = expected(density, reference, sigmas)
    # Both are float64; near an end a share has lost the digits that a quantile would need.
    np.testing.assert_allclose(density.distribution(sigmas), shares, atol=1e-12)
    inner = (shares > 1e-6) & (shares < 1 - 1e-6)
    np.testing.assert_allclose(density.quantile(shares[inner]), sigmas[inner], atol=1e-9)
    assert density.distribution(np.array([0.0, 1.0])) == pytest.approx([0, 1], abs=1e-15)
    for shift in SHIFTS:
        given = shifted_distribution(density, sigmas, shift=shift)
        np.testing.assert_allclose(given, expected(density, reference, sigmas, shift), atol=1e-12)


@pytest.mark.parametrize(("density", "reference"), DENSITIES, ids=NAMED)
@pytest.mark.parametrize("stratified", [False, True])
def test_the_levels_of_a_run_are_draws_of_the_density(density: Density, reference: object, stratified: bool) -> None:
    strata = Strata(Draws(3), 4) if stratified else None
    objective = FlowMatching(Draws(3), density=density, strata=strata)
    drawn = np.array([objective.sigma(step=step, index=index, shift=3.0) for step in range(250) for index in range(4)])
    assert stats.kstest(drawn, lambda sigma: expected(density, reference, sigma, 3.0)).pvalue > 0.01


def test_the_default_draws_are_one_normal_number_each() -> None:
    # As runs of earlier versions rely on: stream 3 of the seed, at the step and the sample's place in it.
    for step, index in ((0, 0), (7, 3), (123_456, 1)):
        number = np.random.Generator(np.random.Philox(counter=[0, index, step, 0], key=[42, 3])).standard_normal()
        assert FlowMatching(Draws(42)).sigma(step=step, index=index, shift=1.0) == float(
            1 / (1 + np.exp(-1.0 * number))
        )


@pytest.mark.parametrize(
    "density", [SigmoidNormal(scale=400.0), SigmoidNormal(mean=-900.0), Beta(0.01, 0.01), Uniform()]
)
@pytest.mark.parametrize("shift", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("stratified", [False, True])
def test_no_level_is_ever_at_an_end_in_float32(density: Density, shift: float, stratified: bool) -> None:
    strata = Strata(Draws(1), 1) if stratified else None
    objective = FlowMatching(Draws(1), density=density, strata=strata)
    levels = torch.tensor([objective.sigma(step=step, index=0, shift=shift) for step in range(64)])
    assert levels.dtype == torch.float32
    assert ((levels > 0) & (levels < 1)).all()


def test_the_nearest_level_to_pure_noise_is_the_last_of_float32() -> None:
    assert np.nextafter(np.float32(1), np.float32(0)) == np.float32(inside(1.0)) == inside(1.0)
    assert inside(0.0) == NEAREST
    assert inside(0.3) == 0.3


# Appendix B and the acceptance checks of the compatibility facts: rounded there to three places.
SHIFTED = {
    0.1: (0.011, 0.032, 0.091, 0.231, 0.474),
    1.0: (0.1, 0.25, 0.5, 0.75, 0.9),
    3.0: (0.25, 0.5, 0.75, 0.9, 0.964),
    5.0: (0.357, 0.625, 0.833, 0.938, 0.978),
    8.0: (0.471, 0.727, 0.889, 0.96, 0.986),
}


@pytest.mark.parametrize("shift", SHIFTED)
def test_shift(shift: float) -> None:
    shifted = [shift_sigma(sigma, shift) for sigma in (0.1, 0.25, 0.5, 0.75, 0.9)]
    assert shifted == pytest.approx(SHIFTED[shift], abs=5.001e-4)
    assert (shift_sigma(0.0, shift), shift_sigma(1.0, shift)) == (0, pytest.approx(1, abs=1e-15))


def test_the_median_under_a_shift() -> None:
    assert shift_sigma(0.5, 3.0) == 0.75
    assert shift_sigma(0.5, 0.1) == pytest.approx(0.0909, abs=5e-5)


@pytest.mark.parametrize(
    ("options", "density"),
    [
        ({}, SigmoidNormal()),
        ({"flow_sigmoid_scale": 1.5, "flow_sigmoid_mean": -1}, SigmoidNormal(-1.0, 1.5)),
        ({"flow_use_uniform_schedule": True}, Uniform()),
        ({"flow_use_beta_schedule": True, "flow_beta_schedule_alpha": 5}, Beta(5.0, 2.0)),
    ],
)
def test_options_name_a_density(options: dict[str, float], density: Density) -> None:
    assert density_of(ObjectiveOptions(**options)) == density  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("samples_per_step", [1, 4, 5, 64, 100])
def test_each_sample_of_a_window_has_a_stratum_of_its_own(samples_per_step: int) -> None:
    strata = Strata(Draws(9), samples_per_step)
    places = [divmod(place, samples_per_step) for place in range(3 * strata.window)]
    shares = np.array([strata.share(step=step, index=index) for step, index in places])
    found = np.floor(shares * strata.window).astype(int).reshape(3, strata.window)
    assert all(Counter(window) == Counter(range(strata.window)) for window in found.tolist())
    assert not np.array_equal(found[0], found[1])
    # Within a stratum, anywhere: 192 numbers or more.
    assert stats.kstest(shares * strata.window % 1, "uniform").pvalue > 0.01


def test_strata_are_a_function_of_the_position() -> None:
    forward = [Strata(Draws(2), 4).share(step=step, index=index) for step in range(40) for index in range(4)]
    backward = [Strata(Draws(2), 4).share(step=s, index=i) for s in reversed(range(40)) for i in reversed(range(4))]
    assert forward == backward[::-1]
    assert forward != [Strata(Draws(3), 4).share(step=step, index=index) for step in range(40) for index in range(4)]


def test_a_stratified_level_is_the_same_in_whichever_micro_batch() -> None:
    objective = FlowMatching(Draws(2), strata=Strata(Draws(2), 4))
    whole = objective.noise(random_batch(size=4), step=5, first_index=0).sigma
    parts = [objective.noise(random_batch(size=2), step=5, first_index=first).sigma for first in (0, 2)]
    assert torch.equal(whole, torch.cat(parts))


def test_stratified_levels_are_calmer() -> None:
    strata = Strata(Draws(4), 64)
    together = np.array([[strata.share(step=step, index=index) for index in range(64)] for step in range(60)])
    # Of 64 levels drawn alone the mean has variance 1 / (12 * 64); of stratified ones 1 / (12 * 64^3). A variance that
    # is measured on 60 means is within a factor of 2 of the true one (chi-squared with 59 degrees: beyond 1e-4).
    assert together.mean(1).var() == pytest.approx(1 / (12 * 64**3), rel=1)
    loss = SigmoidNormal().quantile(together.ravel()).reshape(60, 64) ** 2
    alone = SigmoidNormal().draw(np.random.default_rng(0), 60 * 64).reshape(60, 64) ** 2
    assert loss.mean(1).var() < alone.mean(1).var() / 100
    assert EDGE <= together.min()
    assert together.max() <= 1 - EDGE


@pytest.mark.parametrize("density", [density for density, _ in DENSITIES], ids=NAMED)
@pytest.mark.parametrize("offset", [-1.5, 0.4])
def test_an_offset_is_added_to_the_logit_before_the_shift(density: Density, offset: float) -> None:
    objective = FlowMatching(Draws(6), density=density)
    batch = random_batch(size=3)
    plain = objective.noise(batch, step=2, first_index=0).sigma.double()
    moved = objective.noise(replace(batch, sigma_offset=offset), step=2, first_index=0).sigma.double()
    # One rounding to float32 of a level of which the logit is taken.
    torch.testing.assert_close(torch.logit(moved), torch.logit(plain) + offset, rtol=1e-4, atol=1e-5)
    assert torch.equal(plain, objective.noise(replace(batch, sigma_offset=0.0), step=2, first_index=0).sigma.double())
