"""Every container with every codec: what training at 16 fps sees are the frames that the rule asks for.

The times are those that the clip was written at, not those that were read from it.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers.clips import frames_shown, read_index, whole_picture
from helpers.formats import CODECS, CONTAINERS, DEPTHS, RATES, TURNS, Make, animation_times, can_be_muxed, makes
from reeltune.contracts.clip import ClipInfo
from reeltune.data.decode import decode
from reeltune.data.frames import frame_indices
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile

FPS = 16
QUARTERS = {0: 0, 90: -1, 180: 2, 270: 1}
"""How often np.rot90 turns a frame as a clip is turned."""

# A pair that is not written is not silently less of a test.
PAIRS_THAT_EXIST = {
    "mp4": {"libx264", "libx265", "libvpx-vp9", "libsvtav1", "mjpeg"},
    "mkv": set(CODECS),
    "webm": {"libvpx-vp9", "libsvtav1"},
    "mov": {"libx264", "libx265", "mjpeg", "prores_ks"},
    "avi": {"libx264", "libvpx-vp9", "libsvtav1", "mjpeg"},
}


def no_times(make: Make) -> bool:
    """Tell whether the container cannot hold the times: an AVI keeps the order of decoding, and x264 makes B-frames."""
    return (make.container, make.codec, make.rate) == ("avi", "libx264", "variable")


def numbers_at_16_fps(path: Path, info: ClipInfo, make: Make, *, count: int) -> list[int]:
    indices = frame_indices(info, num_frames=count, fps=float(FPS))
    frames = decode(path, whole_picture(indices, width=info.width, height=info.height))
    return [read_index(np.rot90(frame, -QUARTERS[make.turn])) for frame in frames]


def test_every_pair_that_can_be_written_is_in_the_matrix() -> None:
    found = {c: {codec for codec in CODECS if can_be_muxed(c, codec)} for c in CONTAINERS}
    assert found == PAIRS_THAT_EXIST
    print(f"{len(makes())} combinations of container, codec, rate, depth, size and turn")
    pairs = {(make.container, make.codec) for make in makes()}
    assert pairs == {(c, codec) for c, codecs in found.items() for codec in codecs} | {("gif", "gif"), ("webp", "webp")}
    assert {make.rate for make in makes()} == set(RATES)
    assert {make.turn for make in makes()} == set(TURNS)
    assert {(make.codec, make.depth) for make in makes()} >= {
        (codec, depth) for codec in DEPTHS for depth in DEPTHS[codec]
    }


@pytest.mark.parametrize("make", makes(), ids=lambda make: make.name)
def test_frames_at_16_fps_are_exact_in_every_format(tmp_path: Path, make: Make) -> None:
    path = make.write(tmp_path)
    if no_times(make):
        with pytest.raises(UnreadableFile, match=r"AVI of uneven rate with B-frames .*; convert it"):
            probe(path)
        return
    info = probe(path)
    assert info.frames == make.frames
    shape = (make.height, make.width) if make.turn in (90, 270) else (make.width, make.height)
    assert (info.width, info.height) == shape
    times = animation_times(make) if make.container in ("gif", "webp") else make.times
    # The last frame's end is no time stamp, and not every container keeps it.
    count = sum(Fraction(step, FPS) <= times[-2] for step in range(1000))
    assert numbers_at_16_fps(path, info, make, count=count) == frames_shown(times, count=count, fps=FPS)
