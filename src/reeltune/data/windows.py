"""Where the windows of a clip start, counted in training frames: pure arithmetic, one function per frame_selection.

A clip of `available` frames has windows of `length` of them; `slack` is how far the only window could be moved.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reeltune.config.datasets import VideoOptions

Starts = tuple[int, ...]


def window_starts(available: int, length: int, video: VideoOptions, *, generator: np.random.Generator) -> Starts:
    """Return where each window of a clip starts, ascending; at least one, and all of them inside the clip.

    generator: read by frame_selection random only.
    """
    assert 1 <= length <= available, (length, available)
    return _SELECTIONS[video.frame_selection](available, length, video, generator)


def _first(available: int, length: int, video: VideoOptions, generator: np.random.Generator) -> Starts:
    return (0,)


def _middle(available: int, length: int, video: VideoOptions, generator: np.random.Generator) -> Starts:
    return ((available - length) // 2,)


def _random(available: int, length: int, video: VideoOptions, generator: np.random.Generator) -> Starts:
    """Draw windows that do not overlap, each such choice as likely as any other; that may overlap if they must."""
    count = _count(available, length, video.windows or 1)
    # The frames between the windows, and the windows themselves as one frame each, are put in a row.
    taken = length if count * length <= available else 1
    places = available - length + 1 - (count - 1) * (taken - 1)
    drawn = np.sort(generator.choice(places, size=count, replace=False))
    return tuple(int(place) + index * (taken - 1) for index, place in enumerate(drawn))


def _uniform(available: int, length: int, video: VideoOptions, generator: np.random.Generator) -> Starts:
    count = _count(available, length, video.windows or available // length)
    slack, gaps = available - length, max(count - 1, 1)
    return tuple((2 * index * slack + gaps) // (2 * gaps) for index in range(count))


def _slide(available: int, length: int, video: VideoOptions, generator: np.random.Generator) -> Starts:
    starts = range(0, available - length + 1, video.window_stride or length)
    return tuple(starts[: video.windows])


def _count(available: int, length: int, wanted: int) -> int:
    """Return how many windows there can be without having one twice."""
    return min(wanted, available - length + 1)


_SELECTIONS: dict[str, Callable[[int, int, VideoOptions, np.random.Generator], Starts]] = {
    "first": _first,
    "middle": _middle,
    "random": _random,
    "uniform": _uniform,
    "slide": _slide,
}
