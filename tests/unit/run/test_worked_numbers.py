"""Numbers of Wan's geometry and schedules that were worked out once, by hand or with the reference."""

from __future__ import annotations

import pytest

from reeltune.families.wan.sampler import make_scheduler
from reeltune.families.wan.variants import WAN_21
from reeltune.objective.timesteps import shift_sigma

FRAMES = {1: 1, 4: 1, 5: 2, 16: 4, 17: 5, 33: 9, 49: 13, 65: 17, 73: 19, 75: 19, 77: 20, 80: 20, 81: 21, 121: 31}
"""Latent frames by frames of the clip."""

SHIFTED = {
    0.1: (0.011, 0.032, 0.091, 0.231, 0.474),
    1.0: (0.100, 0.250, 0.500, 0.750, 0.900),
    3.0: (0.250, 0.500, 0.750, 0.900, 0.964),
    5.0: (0.357, 0.625, 0.833, 0.938, 0.978),
    8.0: (0.471, 0.727, 0.889, 0.960, 0.986),
}
"""What a shift makes of 0.1, 0.25, 0.5, 0.75 and 0.9."""


@pytest.mark.parametrize(("frames", "latent_frames"), FRAMES.items())
def test_frames_become_latent_frames(frames: int, latent_frames: int) -> None:
    usable = WAN_21.geometry.usable_frames(frames)
    assert usable == 4 * (latent_frames - 1) + 1
    assert WAN_21.geometry.latent_shape(frames=usable, height=480, width=832) == (16, latent_frames, 60, 104)


@pytest.mark.parametrize(
    ("width", "height", "a_frame"), [(640, 352, 880), (832, 480, 1560), (480, 480, 900), (864, 480, 1620)]
)
def test_a_latent_frame_has_a_token_for_each_sixteen_by_sixteen_pixels(width: int, height: int, a_frame: int) -> None:
    for frames, latent_frames in ((1, 1), (73, 19), (81, 21)):
        assert WAN_21.geometry.tokens(frames=frames, height=height, width=width) == latent_frames * a_frame


@pytest.mark.parametrize(("shift", "expected"), SHIFTED.items())
def test_a_shift_moves_noise_levels(shift: float, expected: tuple[float, ...]) -> None:
    assert [shift_sigma(sigma, shift) for sigma in (0.1, 0.25, 0.5, 0.75, 0.9)] == pytest.approx(expected, abs=5.1e-4)


def test_the_sampler_walks_down_the_shifted_levels() -> None:
    config = {"num_train_timesteps": 1000, "prediction_type": "flow_prediction", "use_flow_sigmas": True}
    scheduler = make_scheduler(config, 3.0)
    scheduler.set_timesteps(4)
    assert scheduler.sigmas.tolist() == pytest.approx([1.0, 0.9001, 0.7504, 0.5010, 0.0], abs=6e-5)
