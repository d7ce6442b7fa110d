from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import pytest

from helpers.clips import clip_info, even_times, frames_shown
from reeltune.contracts.clip import ClipInfo
from reeltune.data.frames import (
    frame_indices,
    frames_at_rate,
    frames_available,
    source_seconds,
    training_rate,
    window,
)

RATES = [12, 16, 24, 25, 30, 48, 50, 60, 120, Fraction(25, 2), Fraction(24000, 1001), Fraction(30000, 1001)]


@pytest.mark.parametrize("fps", RATES)
def test_frame_shown_is_the_last_one_that_has_started_for_float_time_stamps(fps: Fraction):
    times = even_times(200, fps)
    info = ClipInfo(64, 64, times_s=tuple(map(float, times[:-1])), end_s=float(times[-1]))
    count = frames_at_rate(info, 16.0)
    assert count == sum(Fraction(step, 16) < times[-1] for step in range(4000))
    assert list(frame_indices(info, num_frames=count, fps=16.0)) == frames_shown(times, count=count, fps=16)


@pytest.mark.parametrize("frames", [48, 49, 50, 75, 81])
def test_at_the_models_rate_every_frame_is_taken(frames: int):
    info = clip_info(frames, 16)
    rate = training_rate(info, setting="model", model_fps=16.0)
    assert rate.one_to_one
    assert frames_available(info, rate) == frames
    assert frames_at_rate(info, 16.0) == frames
    assert window(info, rate, num_frames=frames) == tuple(range(frames))


@pytest.mark.parametrize(
    ("frames", "fps", "expected"), [(48, 24, 32), (49, 24, 33), (50, 30, 27), (75, 30, 40), (81, 24, 54), (81, 12, 108)]
)
def test_frames_at_another_rate_are_counted_by_time(frames: int, fps: float, expected: int):
    assert frames_at_rate(clip_info(frames, fps), 16.0) == expected


@pytest.mark.parametrize("fps", [15, 16, 17, 14.985, 15.984, 16.016])
def test_near_rates_are_taken_one_to_one(fps: float):
    rate = training_rate(clip_info(81, fps), setting="model", model_fps=16.0)
    assert (rate.one_to_one, rate.fps) == (True, 16)


def test_uneven_clips_near_the_models_rate_follow_their_clock():
    """60 frames of 20 to 120 ms are 16 fps on average, and would jerk if each were shown for as long."""
    ends = list(accumulate([0.02, 0.12, 0.033, 0.08, 0.05, 0.072] * 10))
    info = ClipInfo(64, 64, times_s=(0.0, *ends[:-1]), end_s=ends[-1])
    rate = training_rate(info, setting="model", model_fps=16.0)
    assert (rate.one_to_one, rate.fps, rate.note) == (False, 16, "16.0 -> 16.0 fps, unevenly spaced frames")
    assert training_rate(info, setting="native", model_fps=16.0).one_to_one


@pytest.mark.parametrize("fps", [15, 16, 17])
def test_time_stamps_rounded_to_milliseconds_or_hundredths_are_even(fps: int):
    for places in (2, 3):
        times = [round(index / fps, places) for index in range(82)]
        info = ClipInfo(64, 64, times_s=tuple(times[:-1]), end_s=times[-1])
        assert training_rate(info, setting="model", model_fps=16.0).one_to_one


@pytest.mark.parametrize("fps", [12.5, 14.8, 17.2, 23.976, 24, 30])
def test_other_rates_are_resampled(fps: float):
    rate = training_rate(clip_info(81, fps), setting="model", model_fps=16.0)
    assert (rate.one_to_one, rate.fps) == (False, 16)


def test_notes_say_what_happens_to_the_clip():
    def note(fps: float, setting: float | str = "model") -> str:
        return training_rate(clip_info(80, fps), setting=setting, model_fps=16.0).note  # pyright: ignore[reportArgumentType]

    assert note(24) == "24.0 -> 16.0 fps"
    assert note(24, 12.0) == "24.0 -> 12.0 fps"
    assert note(16) == "16.0 fps taken one to one"
    assert note(15) == "15.0 fps taken one to one as 16.0 (1.07 times as fast)"
    assert note(24, "native") == "24.0 fps taken one to one, shown by the model at 16.0"


def test_native_takes_the_clips_own_frames():
    info = clip_info(50, 60)
    rate = training_rate(info, setting="native", model_fps=16.0)
    assert (rate.fps, frames_available(info, rate)) == (60, 50)
    assert window(info, rate, num_frames=49) == tuple(range(49))


def test_73_frames_at_16_fps_are_4_56_seconds():
    info = clip_info(200, 24)
    rate = training_rate(info, setting="model", model_fps=16.0)
    assert source_seconds(info, rate, num_frames=73) == 4.5625


def test_slow_clips_repeat_frames_and_uneven_ones_follow_their_clock():
    assert frame_indices(clip_info(4, 8), num_frames=8, fps=16.0) == (0, 0, 1, 1, 2, 2, 3, 3)
    pause = ClipInfo(64, 64, times_s=(0.0, 0.01, 0.5, 0.51), end_s=0.6)
    assert frame_indices(pause, num_frames=6, fps=10.0) == (0, 1, 1, 1, 1, 2)
    assert frames_at_rate(pause, 10.0) == 6


def test_the_rounding_of_float_seconds_moves_no_frame():
    tenths = tuple(accumulate([0.1] * 50, initial=0.0))
    assert any(time > index / 10 for index, time in enumerate(tenths)), "summing tenths overshoots"
    info = ClipInfo(64, 64, times_s=tenths[:-1], end_s=tenths[-1])
    assert frames_at_rate(info, 10.0) == 50
    assert frame_indices(info, num_frames=50, fps=10.0) == tuple(range(50))


@pytest.mark.parametrize("fps", [24, 30, 12])
@pytest.mark.parametrize("start", [0, 1, 7, 40])
def test_a_window_shows_what_is_on_screen_from_its_start_on(fps: int, start: int):
    info = clip_info(120, fps)
    rate = training_rate(info, setting="model", model_fps=16.0)
    shown = frames_shown(even_times(120, fps), count=start + 17, fps=16)
    assert list(window(info, rate, num_frames=17, start=start)) == shown[start:]


def test_a_window_at_the_models_rate_is_a_run_of_frames():
    info = clip_info(100, 15)
    rate = training_rate(info, setting="model", model_fps=16.0)
    assert window(info, rate, num_frames=81, start=19) == tuple(range(19, 100))


def test_a_single_frame_is_one_frame_at_any_rate():
    assert frames_at_rate(clip_info(1, 1000), 16.0) == 1
