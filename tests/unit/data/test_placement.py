from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from helpers.clips import clip_info, even_times
from reeltune.config.datasets import CropAspect, VideoOptions
from reeltune.contracts.clip import Bucket, ClipInfo, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.crops import Cropping
from reeltune.data.placement import Rules, place
from reeltune.randomness import Draws

GEOMETRY = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))


DRAWS = Draws(7)
SLOW = clip_info(200, 24)
"""134 frames at 16 fps."""


def rules(sizing: Sizing | None = None, **fields: Any) -> Rules:
    own = {key: fields.pop(key) for key in tuple(fields) if key in Rules.__dataclass_fields__}
    sizing = sizing or Sizing(480.0, "pixel_area")
    return Rules(video=VideoOptions(**fields), sizing=sizing, geometry=GEOMETRY, model_fps=16.0, **own)


def windows(info: ClipInfo, *, name: str = "a.mp4", epoch: int = 0, **fields: Any) -> tuple[Placement, ...]:
    placements = place(info, rules(**fields), draws=DRAWS, name=name, epoch=epoch)
    assert not isinstance(placements, str), placements
    return placements


def placed(info: ClipInfo, **fields: Any) -> Placement | str:
    placements = place(info, rules(**fields), draws=DRAWS, name="a.mp4")
    return placements if isinstance(placements, str) else placements[0]


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
    assert isinstance(placed(clip_info(81, 16, width=640, height=360), minimum_image_size=480.0), Placement)
    reason = placed(clip_info(81, 16, width=480, height=360), minimum_image_size=480.0)
    assert reason == "too small: 480x360 is 415 by pixel_area, minimum_image_size is 480; lower it to 415"
    assert isinstance(placed(clip_info(81, 16, width=480, height=360), minimum_image_size=415.0), Placement)


def test_native_rate_takes_the_first_frames():
    placement = placed(clip_info(100, 60), num_frames=49, fps="native")
    assert isinstance(placement, Placement)
    assert placement.frame_indices == tuple(range(49))


def shown(info: ClipInfo, starts: list[int], count: int) -> list[tuple[int, ...]]:
    """Return what is on screen at 16 frames a second, from each start, in exact fractions and without a search."""
    times = even_times(info.frames, round(info.fps))[:-1]
    on_screen = [sum(time <= Fraction(step, 16) for time in times) - 1 for step in range(max(starts) + count)]
    return [tuple(on_screen[start : start + count]) for start in starts]


def test_each_window_shows_the_frames_on_screen_from_its_start_on():
    found = windows(SLOW, num_frames=41, frame_selection="slide", window_stride=40)
    assert [window.frame_indices for window in found] == shown(SLOW, [0, 40, 80], 41)
    assert {window.bucket for window in found} == {Bucket(640, 352, 41)}
    found = windows(SLOW, num_frames=41, frame_selection="uniform")
    assert [window.frame_indices for window in found] == shown(SLOW, [0, 47, 93], 41)
    assert [window.frame_indices for window in windows(SLOW, num_frames=81, frame_selection="middle")] == shown(
        SLOW, [26], 81
    )


def test_windows_of_a_clip_at_the_models_rate_are_runs_of_its_frames():
    found = windows(clip_info(100, 16), num_frames=49, frame_selection="uniform")
    assert [window.frame_indices for window in found] == [tuple(range(49)), tuple(range(51, 100))]


def test_a_short_clip_has_one_window_of_all_that_is_usable():
    (only,) = windows(clip_info(50, 16), min_frames=33, frame_selection="uniform")
    assert only.frame_indices == tuple(range(49))


@pytest.mark.parametrize(
    ("frames", "video", "expected"),
    [
        (200, {}, 81),
        (80, {}, 77),
        (4, {}, 1),
        (200, {"num_frames": 33}, 33),
        (80, {"frame_interval": 16}, 77),
        (79, {"frame_interval": 16}, 61),
        (31, {"frame_interval": 16}, 13),
        (200, {"num_frames": 50, "frame_interval": 16}, 45),
        (17, {"min_frames": 17}, 17),
        (16, {"min_frames": 17}, "17 needed; lower video.min_frames to 13"),
        (15, {"frame_interval": 16}, "15 of 15 frames at 16 fps, video.frame_interval is 16; lower it to 15"),
        (200, {"num_frames": 9, "frame_interval": 16}, "9 of 200 frames at 16 fps, video.frame_interval is 16"),
    ],
)
def test_by_length_each_clip_gives_what_it_has(frames: int, video: dict[str, Any], expected: int | str):
    used = frames_used(clip_info(frames, 16), bucket_strategy="resolution_frames", **video)
    assert used == expected if isinstance(expected, int) else expected in str(used)


def test_frame_interval_is_about_grouping_by_length():
    assert frames_used(clip_info(81, 16), frame_interval=32) == 81


def test_shapes_outside_the_limits_name_the_limit_that_admits_them():
    wide, tall = clip_info(81, 16, width=1920, height=1080), clip_info(81, 16, width=1080, height=1920)
    reason = placed(wide, maximum_aspect=1.5)
    assert reason == "too wide: 1920x1080 is 1.778, maximum_aspect_ratio is 1.5; raise it to 1.778"
    reason = placed(tall, minimum_aspect=0.8)
    assert reason == "too narrow: 1080x1920 is 0.5625, minimum_aspect_ratio is 0.8; lower it to 0.5625"
    assert isinstance(placed(wide, minimum_aspect=1.777, maximum_aspect=1.778), Placement)
    assert isinstance(placed(tall, minimum_aspect=0.5625, maximum_aspect=0.5625), Placement)


def test_random_windows_are_the_same_at_every_start_and_new_in_each_epoch():
    def drawn(name: str = "a.mp4", epoch: int = 0) -> list[tuple[int, ...]]:
        found = windows(SLOW, name=name, epoch=epoch, num_frames=17, frame_selection="random", windows=3)
        assert {window.bucket.frames for window in found} == {17}
        return [window.frame_indices for window in found]

    assert len(drawn()) == 3
    assert drawn() == drawn()
    assert drawn() != drawn(epoch=1)
    assert drawn() != drawn("b.mp4")


def test_random_crops_are_new_in_each_epoch_and_their_shapes_are_not():
    shapes = (CropAspect(aspect=1.78), CropAspect(aspect=1.0), CropAspect(aspect=0.56))
    cropping = Cropping(crop=True, style="random", aspect="random", shapes=shapes)
    epochs = [windows(SLOW, epoch=epoch, cropping=cropping)[0] for epoch in range(20)]
    assert len({window.bucket for window in epochs}) == 1
    assert len({(window.crop_left, window.crop_top) for window in epochs}) > 4
    clips = [windows(SLOW, name=f"{number}.mp4", cropping=cropping)[0].bucket for number in range(20)]
    assert len(set(clips)) == 3


def test_windows_of_a_clip_have_their_own_random_crops():
    cropping = Cropping(crop=True, style="random")
    found = windows(SLOW, num_frames=17, frame_selection="slide", cropping=cropping)
    assert len({window.crop_left for window in found}) == len(found) == 7


def test_a_crop_is_cut_out_of_the_target_size():
    cropping = Cropping(crop=True, style="corner", maximum=600.0, target=500.0)
    (window,) = windows(SLOW, cropping=cropping)
    assert window.bucket == Bucket(480, 480, 81)
    # The shorter side of 16:9 at the area of 500 x 500 is 375 rows, too few for the crop.
    assert (window.resize_width, window.resize_height) == (853, 480)
    (window,) = windows(SLOW, cropping=Cropping(crop=True, maximum=600.0, target=700.0))
    assert (window.resize_width, window.resize_height) == (933, 525)
    assert (window.crop_left, window.crop_top) == (226, 22)


def test_a_picture_among_held_out_clips_is_a_clip_of_one_frame():
    picture = clip_info(1, 1)
    (only,) = windows(picture, pictures=True)
    assert (only.bucket.frames, only.frame_indices) == (1, (0,))
    assert "too short" in str(placed(picture))
    assert "too short: 2 frames" in str(placed(clip_info(2, 16), pictures=True))
