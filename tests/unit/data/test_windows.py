from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reeltune.config.datasets import VideoOptions
from reeltune.data.windows import window_starts


def starts(available: int, length: int, *, seed: int = 0, **video: Any) -> tuple[int, ...]:
    return window_starts(available, length, VideoOptions(**video), generator=np.random.default_rng(seed))


@pytest.mark.parametrize("video", [{}, {"frame_selection": "first"}, {"frame_selection": "first", "windows": 3}])
def test_first_is_one_window_at_the_start(video: dict[str, Any]):
    assert starts(100, 17, **video) == (0,)


@pytest.mark.parametrize(("available", "length", "start"), [(100, 20, 40), (101, 20, 40), (20, 20, 0), (3, 1, 1)])
def test_middle_leaves_as_much_before_as_behind(available: int, length: int, start: int):
    assert starts(available, length, frame_selection="middle") == (start,)


def test_slide_goes_on_by_the_windows_length_while_a_whole_window_fits():
    assert starts(50, 17, frame_selection="slide") == (0, 17)
    assert starts(51, 17, frame_selection="slide") == (0, 17, 34)
    assert starts(17, 17, frame_selection="slide") == (0,)


def test_slide_goes_on_by_its_stride_and_stops_at_the_most_windows():
    assert starts(33, 17, frame_selection="slide", window_stride=8) == (0, 8, 16)
    assert starts(80, 17, frame_selection="slide", window_stride=30) == (0, 30, 60)
    assert starts(33, 17, frame_selection="slide", window_stride=8, windows=2) == (0, 8)
    assert starts(33, 17, frame_selection="slide", window_stride=8, windows=9) == (0, 8, 16)


def test_uniform_goes_from_the_start_to_the_end_in_even_steps():
    assert starts(100, 20, frame_selection="uniform", windows=3) == (0, 40, 80)
    assert starts(100, 20, frame_selection="uniform", windows=2) == (0, 80)
    assert starts(100, 20, frame_selection="uniform", windows=1) == (0,)


def test_uniform_takes_as_many_windows_as_fit_without_overlap():
    assert starts(100, 20, frame_selection="uniform") == (0, 20, 40, 60, 80)
    assert starts(99, 20, frame_selection="uniform") == (0, 26, 53, 79)
    assert starts(39, 20, frame_selection="uniform") == (0,)


@pytest.mark.parametrize(("available", "length", "windows"), [(100, 17, 4), (83, 81, 2), (1000, 5, 77), (40, 21, 7)])
def test_uniform_starts_are_the_even_ones_rounded(available: int, length: int, windows: int):
    found = starts(available, length, frame_selection="uniform", windows=windows)
    even = [Fraction(index * (available - length), windows - 1) for index in range(windows)]
    assert len(found) == windows
    assert all(abs(start - exact) <= Fraction(1, 2) for start, exact in zip(found, even, strict=True))


def test_random_is_one_window_anywhere():
    drawn = Counter(starts(24, 21, seed=seed, frame_selection="random") for seed in range(400))
    assert set(drawn) == {(0,), (1,), (2,), (3,)}
    # 100 expected each; five standard deviations are 43.
    assert min(drawn.values()) > 57


def test_every_choice_of_random_windows_without_overlap_is_as_likely_as_any_other():
    drawn = Counter(starts(7, 2, seed=seed, frame_selection="random", windows=2) for seed in range(2000))
    assert set(drawn) == {(a, b) for a in range(6) for b in range(a + 2, 6)}
    # 200 expected each; five standard deviations are 67.
    assert max(abs(count - 200) for count in drawn.values()) < 67


def test_random_windows_overlap_only_where_they_must_and_none_comes_twice():
    assert starts(12, 4, frame_selection="random", windows=3) == (0, 4, 8)
    overlapping = starts(12, 4, frame_selection="random", windows=4)
    assert len(set(overlapping)) == 4
    assert set(overlapping) <= set(range(9))


@pytest.mark.parametrize("selection", ["random", "uniform"])
def test_a_clip_gives_no_window_twice(selection: str):
    assert starts(19, 17, frame_selection=selection, windows=8) == (0, 1, 2)
