"""The outlook's picture of noise levels is the density that is drawn from, and what is not plain is said."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.noise import noise_outlook
from unit.run.made_up import LARGE, basis_of, mixed_manifest, of_one


@pytest.mark.parametrize(
    ("options", "shift", "scale"),
    [
        ({}, 1.0, 1.0),
        ({"flow_schedule_shift": 3.0}, 3.0, 1.0),
        ({"flow_sigmoid_scale": 1.7, "flow_schedule_shift": 0.5}, 0.5, 1.7),
        # The largest shape decides: 30 x 52 patches of a frame, exp(0.5 + 0.65 (1560 - 256) / 3840).
        ({"flow_schedule_auto_shift": True}, math.exp(0.5 + 0.65 * 1304 / 3840), 1.0),
    ],
)
def test_the_density_of_noise_levels_is_that_of_what_is_drawn(
    options: dict[str, Any], shift: float, scale: float
) -> None:
    noise = noise_outlook(basis_of(mixed_manifest(), **options))
    assert math.fsum(noise.density) / len(noise.density) == pytest.approx(1)
    assert noise.median == pytest.approx(shift / (1 + shift))
    points, below = len(noise.density), 0.0
    # What lies below an edge is what the normal number and its sigmoid give there: shift s / (1 + (shift - 1) s).
    for edge, share in zip(edges(points), noise.density, strict=True):
        below += share / points
        sigmoid = edge / (shift - (shift - 1) * edge)
        expected = NormalDist().cdf(math.log(sigmoid / (1 - sigmoid)) / scale) if edge < 1 else 1.0
        assert below == pytest.approx(expected, abs=1e-9)


def edges(points: int) -> Iterator[float]:
    yield from ((point + 1) / points for point in range(points))


def test_the_shift_of_videos_is_told_apart_from_that_of_training() -> None:
    noise = noise_outlook(basis_of(of_one(LARGE), flow_schedule_shift=3.0, validation_flow_shift=5.0))
    assert (noise.shift, noise.rendered_shift) == ("shift 3", "shift 5")
    assert noise_outlook(basis_of(of_one(LARGE))).rendered_shift == "the model's own"


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"flow_use_uniform_schedule": True}, stats.uniform()),
        ({"flow_use_beta_schedule": True, "flow_beta_schedule_alpha": 3.0}, stats.beta(3, 2)),
        ({"flow_sigmoid_mean": 0.7, "flow_stratified_sampling": True}, None),
    ],
)
def test_the_picture_is_that_of_the_density_in_use(options: dict[str, Any], reference: Any) -> None:
    def distribution(sigma: float) -> float:
        if reference:
            return float(reference.cdf(sigma))
        return NormalDist(0.7).cdf(math.log(sigma / (1 - sigma))) if sigma < 1 else 1.0

    noise = noise_outlook(basis_of(of_one(LARGE), **options))
    below = np.cumsum(noise.density) / len(noise.density)
    # Sums of 120 float64 numbers, and scipy's incomplete beta function.
    np.testing.assert_allclose(below, [distribution(edge) for edge in edges(len(noise.density))], atol=1e-9)
    assert distribution(noise.median) == pytest.approx(0.5, abs=1e-9)


def with_offset(basis: Basis, offset: float) -> Basis:
    """Return the same run with an offset of its first dataset."""
    first, *others = basis.datasets.trained
    first = first.model_copy(update={"timestep_sampling_offset": offset})
    object.__setattr__(basis, "datasets", basis.datasets.model_copy(update={"trained": (first, *others)}))
    return basis


def test_an_offset_moves_the_part_of_its_dataset() -> None:
    basis = with_offset(basis_of(mixed_manifest()), 2.0)
    noise = noise_outlook(basis)
    shares = {one.id: one.share for one in basis.plan.shares}
    normal = NormalDist()
    logit = math.log(noise.median / (1 - noise.median))
    assert shares["a"] * normal.cdf(logit - 2) + shares["b"] * normal.cdf(logit) == pytest.approx(0.5, abs=1e-9)
    assert noise.offsets == "a +2"
    only = noise_outlook(with_offset(basis_of(of_one(LARGE)), 2.0))
    assert only.median == pytest.approx(1 / (1 + math.exp(-2)))


@pytest.mark.parametrize(
    ("options", "drawn", "loss"),
    [
        ({}, "", ""),
        ({"flow_stratified_sampling": True}, "spread evenly over neighbouring samples", ""),
        ({"flow_use_uniform_schedule": True}, "all equally often", ""),
        (
            {"flow_use_beta_schedule": True, "flow_stratified_sampling": True, "loss_type": "huber", "huber_c": 0.2},
            "beta distribution of 2 and 2; spread evenly over neighbouring samples",
            "huber with c 0.2, schedule snr",
        ),
        (
            {"flow_sigmoid_scale": 1.5, "loss_type": "smooth_l1", "loss_weighting": "cosmap"},
            "sigmoid of a normal variable of mean 0 and spread 1.5",
            "smooth_l1 with c 0.1, schedule snr, weighted by cosmap",
        ),
    ],
)
def test_what_is_not_plain_is_said(options: dict[str, Any], drawn: str, loss: str) -> None:
    noise = noise_outlook(basis_of(of_one(LARGE), **options))
    assert (noise.drawn, noise.offsets, noise.loss) == (drawn, "", loss)
