from __future__ import annotations

from typing import Any

import pytest

from helpers.clips import clip_info
from reeltune.config.datasets import VideoOptions
from reeltune.contracts.clip import Bucket, ClipInfo, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.placement import Rules, place

GEOMETRY = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))


def placed(info: ClipInfo, *, minimum: float = 0.0, sizing: Sizing | None = None, **video: Any) -> Placement | str:
    sizing = sizing or Sizing(480.0, "pixel_area")
    return place(info, Rules(VideoOptions(**video), sizing, minimum, GEOMETRY, model_fps=16.0))


def frames_used(info: ClipInfo, **video: Any) -> int | str:
    placement = placed(info, **video)
    return placement if isinstance(placement, str) else placement.bucket.frames


def test_a_clip_is_resized_to_cover_its_bucket_and_cropped_from_the_centre():
    placement = placed(clip_info(200, 24, width=1920, height=1080), num_frames=75)
    assert isinstance(placement, Placement)
    assert placement.bucket == Bucket(640, 352, 73)
    assert (placement.resize_width, placement.resize_height) == (640, 360)
    assert (placement.crop_left, placement.crop_top) == (0, 4)
    assert placement.frame_indices[:5] == (0, 1, 3, 4, 6)
    assert len(placement.frame_indices) == 73


@pytest.mark.parametrize(
    ("frames", "video", "expected"),
    [
        # Unset minimum: the rounded count is enough.
        (73, {"num_frames": 75}, 73),
        (81, {}, 81),
        (84, {}, 81),
        # The same number twice: the rounding applies to both.
        (73, {"num_frames": 75, "min_frames": 75}, 73),
        (72, {"num_frames": 75, "min_frames": 75}, "73 needed"),
        # A larger minimum was meant, and is kept as it is.
        (90, {"num_frames": 75, "min_frames": 90}, 73),
        (89, {"num_frames": 75, "min_frames": 90}, "90 needed"),
        # A smaller one admits shorter clips at the largest usable count.
        (50, {"num_frames": 75, "min_frames": 50}, 49),
        (49, {"num_frames": 75, "min_frames": 50}, 49),
        (48, {"num_frames": 75, "min_frames": 50}, "49 needed"),
        (75, {"num_frames": 75, "min_frames": 50}, 73),
        (120, {"num_frames": 81, "max_frames": 120}, 81),
        (121, {"num_frames": 81, "max_frames": 120}, "120 allowed"),
    ],
)
def test_frame_counts_are_rounded_down_and_compared_with_the_rounded_minimum(
    frames: int, video: dict[str, Any], expected: int | str
):
    used = frames_used(clip_info(frames, 16), **video)
    assert used == expected if isinstance(expected, int) else expected in str(used)


def test_frames_are_counted_at_the_training_rate():
    # 4.5 s is 108 frames at 24 fps, and 72 at 16.
    assert "72 frames at 16 fps, 73 needed" in str(frames_used(clip_info(108, 24), num_frames=73))
    assert frames_used(clip_info(109, 24), num_frames=73) == 73
    assert frames_used(clip_info(108, 24), num_frames=73, fps="native") == 73
    assert frames_used(clip_info(108, 24), num_frames=73, fps=24) == 73
    assert "54 frames at 12 fps" in str(frames_used(clip_info(108, 24), num_frames=73, fps=12))


def test_too_short_names_a_usable_count_that_admits_the_clip():
    info = clip_info(39, 16)
    reason = placed(info, num_frames=75)
    assert reason == "too short: 39 frames at 16 fps, 73 needed; lower video.num_frames (or set video.min_frames) to 37"
    assert frames_used(info, num_frames=37) == frames_used(info, num_frames=75, min_frames=37) == 37
    assert str(placed(info, num_frames=75, min_frames=75)).endswith("lower video.min_frames to 37")


def test_too_long_names_the_maximum_that_admits_the_clip():
    reason = placed(clip_info(200, 16), max_frames=120)
    assert reason == "too long: 200 frames at 16 fps, 120 allowed; raise video.max_frames to 200"
    assert frames_used(clip_info(200, 16), max_frames=200) == 81


def test_too_small_compares_the_clips_own_size():
    assert isinstance(placed(clip_info(81, 16, width=640, height=360), minimum=480.0), Placement)
    reason = placed(clip_info(81, 16, width=480, height=360), minimum=480.0)
    assert reason == "too small: 480x360 is 415 by pixel_area, minimum_image_size is 480; lower it to 415"
    assert isinstance(placed(clip_info(81, 16, width=480, height=360), minimum=415.0), Placement)


def test_native_rate_takes_the_first_frames():
    placement = placed(clip_info(100, 60), num_frames=49, fps="native")
    assert isinstance(placement, Placement)
    assert placement.frame_indices == tuple(range(49))
