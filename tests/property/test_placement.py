"""Whatever the clip and the rules are: it is placed inside what it has, or the words say what admits it.

Made-up clips of any size, length and clock meet made-up rules; the clips are left out as often as not. They are put
together inside the tests: checking the types of a record draws random numbers, which may not be done while examples are
drawn.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reeltune.config.datasets import CropAspect, VideoOptions
from reeltune.contracts.clip import ClipInfo, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.crops import Cropping
from reeltune.data.placement import Rules, place
from reeltune.data.windows import window_starts
from reeltune.randomness import Draws

GEOMETRY = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))

# Made small again, a failing example would cost minutes.
steady = settings(max_examples=200, derandomize=True, deadline=None, database=None, phases=(Phase.generate,))

MadeUpClip = Callable[[], ClipInfo]
MadeUpRules = Callable[[], Rules]

counts = st.integers(1, 120)
SELECTIONS: list[Literal["first", "middle", "random", "uniform", "slide"]] = [
    "first",
    "middle",
    "random",
    "uniform",
    "slide",
]
RANGES: dict[Literal["pixel", "area", "pixel_area"], tuple[float, float]] = {
    "pixel": (32.0, 1100.0),
    "area": (0.002, 1.2),
    "pixel_area": (32.0, 1100.0),
}


@st.composite
def clips(draw: st.DrawFn) -> MadeUpClip:
    """Made-up clips of an even clock, or of one that stumbles."""
    frames = draw(st.integers(1, 300))
    seconds = 1 / draw(st.sampled_from([8, 15, 16, 17, 23.976, 24, 29.97, 60]))
    stumbles = draw(st.just([1.0]) | st.lists(st.sampled_from([0.2, 1.0, 3.0]), min_size=2, max_size=9))
    lengths = [seconds * stumbles[frame % len(stumbles)] for frame in range(frames)]
    times = tuple(accumulate(lengths, initial=0.0))
    width, height = draw(st.integers(8, 5000)), draw(st.integers(8, 5000))
    return partial(ClipInfo, width, height, times_s=times[:-1], end_s=times[-1])


@st.composite
def videos(draw: st.DrawFn) -> VideoOptions:
    return VideoOptions(
        num_frames=draw(counts),
        min_frames=draw(st.none() | counts),
        max_frames=draw(st.none() | counts),
        fps=draw(st.sampled_from(["model", "native", 12.5, 24.0])),
        frame_selection=draw(st.sampled_from(SELECTIONS)),
        windows=draw(st.none() | st.integers(1, 9)),
        window_stride=draw(st.none() | counts),
        bucket_strategy=draw(st.sampled_from(["aspect_ratio", "resolution_frames"])),
        frame_interval=draw(st.none() | counts),
    )


@st.composite
def rules(draw: st.DrawFn) -> MadeUpRules:
    kind = draw(st.sampled_from(list(RANGES)))
    sizes = st.floats(*RANGES[kind])
    aspects = st.floats(0.05, 20.0)
    shapes = draw(st.lists(st.builds(CropAspect, aspect=aspects, weight=st.floats(0.1, 9.0)), min_size=1, max_size=4))
    sizing = partial(Sizing, draw(sizes), kind, draw(st.integers(1, 3)), draw(st.sampled_from([16, 32, 64])))
    cropping = partial(
        Cropping,
        crop=draw(st.booleans()),
        style=draw(st.sampled_from(["center", "random", "corner"])),
        aspect=draw(st.sampled_from(["square", "preserve", "closest", "random"])),
        shapes=tuple(shapes),
        maximum=draw(st.none() | sizes),
        target=draw(st.none() | sizes),
    )
    admits = {
        "minimum_image_size": draw(st.just(0.0) | sizes),
        "minimum_aspect": draw(st.none() | aspects),
        "maximum_aspect": draw(st.none() | aspects),
        "pictures": draw(st.booleans()),
    }
    video = draw(videos())
    return lambda: Rules(video=video, sizing=sizing(), cropping=cropping(), geometry=GEOMETRY, model_fps=16.0, **admits)


def try_place(info: ClipInfo, given_rules: Rules, *, epoch: int = 0) -> tuple[Placement, ...] | str:
    return place(info, given_rules, draws=Draws(5), name="a/b.mp4", epoch=epoch)


OPTIONS = {
    "minimum_image_size": "minimum_image_size",
    "minimum_aspect_ratio": "minimum_aspect",
    "maximum_aspect_ratio": "maximum_aspect",
}


def as_told(reason: str, told: Rules) -> tuple[str, Rules]:
    """Return the option that a refusal names, and the rules with the value that it says to type."""
    number = re.fullmatch(r".*(?:; |or )(?:lower|raise) .* to (\S+)", reason)
    named = re.findall(r"video\.(\w+)|(minimum_\w+|maximum_\w+)", reason)
    assert number, reason
    inner, outer = named[-1]
    if outer:
        return outer, replace(told, **{OPTIONS[outer]: float(number[1])})
    video: dict[str, Any] = told.video.model_dump() | {inner: int(number[1])}
    return inner, replace(told, video=VideoOptions(**video))


def admitted(info: ClipInfo, given_rules: Rules) -> tuple[Rules, tuple[Placement, ...]]:
    """Do what each refusal says until the clip is placed; no option needs to be typed twice."""
    typed = []
    while isinstance(found := try_place(info, given_rules), str):
        option, given_rules = as_told(found, given_rules)
        assert option not in typed, (typed, found)
        typed.append(option)
    return given_rules, found


def on_screen(info: ClipInfo, mended: Rules) -> tuple[int, ...]:
    """Return the frame shown at each training frame of a whole clip."""
    rate = mended.rate_of(info)
    if rate.one_to_one:
        return tuple(range(info.frames))
    times = [step / rate.fps + 1e-6 for step in range(int(info.end_s * rate.fps) + 1)]
    return tuple(bisect_right(info.times_s, time) - 1 for time in times)


@steady
@given(clips(), rules())
def test_what_a_refusal_suggests_admits_the_clip_and_it_is_placed_inside_what_it_has(
    clip: MadeUpClip, asked: MadeUpRules
):
    info = clip()
    mended, placements = admitted(info, asked())
    assert placements
    for placement in placements:
        bucket = placement.bucket
        assert bucket.width % mended.sizing.alignment == bucket.height % mended.sizing.alignment == 0
        assert bucket.frames % 4 == 1
        assert bucket.frames == len(placement.frame_indices) <= mended.video.num_frames
        assert 0 <= placement.crop_left <= placement.resize_width - bucket.width
        assert 0 <= placement.crop_top <= placement.resize_height - bucket.height
        # Half a pixel of the longer side, in whole numbers.
        off = abs(placement.resize_width * info.height - placement.resize_height * info.width)
        assert 2 * off <= max(info.width, info.height)
        indices = placement.frame_indices
        assert 0 <= indices[0]
        assert indices[-1] < info.frames
        assert all(first <= second for first, second in pairwise(indices))
    assert len({placement.bucket for placement in placements}) == 1
    shown = on_screen(info, mended)
    stretches = {shown[start : start + len(indices)] for start in range(len(shown))}
    assert {placement.frame_indices for placement in placements} <= stretches


@steady
@given(clips(), rules(), st.integers(1, 5))
def test_another_epoch_changes_only_what_is_random(clip: MadeUpClip, asked: MadeUpRules, epoch: int):
    info = clip()
    mended, first = admitted(info, asked())
    later = try_place(info, mended, epoch=epoch)
    assert not isinstance(later, str)
    assert [placement.bucket for placement in later] == [placement.bucket for placement in first]
    kept = ["resize_width", "resize_height"]
    kept += [] if mended.cropping.style == "random" else ["crop_left", "crop_top"]
    kept += [] if mended.video.frame_selection == "random" else ["frame_indices"]
    assert all(getattr(a, name) == getattr(b, name) for a, b in zip(first, later, strict=True) for name in kept)


@steady
@given(counts, counts, videos(), st.integers(0, 99))
def test_windows_lie_inside_the_clip_and_are_told_apart(length: int, more: int, video: VideoOptions, seed: int):
    available = length + more - 1
    starts = window_starts(available, length, video, generator=np.random.default_rng(seed))
    assert starts[0] >= 0
    assert starts[-1] + length <= available
    assert all(first < second for first, second in pairwise(starts))
    wanted = {
        "first": 1,
        "middle": 1,
        "random": video.windows or 1,
        "uniform": video.windows or available // length,
        "slide": min(video.windows or available, 1 + (available - length) // (video.window_stride or length)),
    }[video.frame_selection]
    assert len(starts) == min(wanted, available - length + 1)
    if video.frame_selection in ("random", "uniform") and wanted * length <= available:
        assert all(second - first >= length for first, second in pairwise(starts))
