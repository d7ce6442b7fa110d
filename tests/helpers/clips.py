"""Small real clips whose every frame carries its own number, as blocks that survive H.264, resizing and turning back.

Frames are written through PyAV with exact time stamps, or by `reeltune.media`; nothing here reads the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from reeltune.contracts.clip import Bucket, ClipInfo, Placement

COLUMNS, ROWS = 5, 2
"""Ten blocks, one bit each: white is 1, the least significant first."""
WIDTH, HEIGHT = 160, 96
CLOCK = Fraction(1, 60_000)
"""Divides by all common frame rates; MPEG-4 allows no finer one."""

Times = list[Fraction]


def indexed_frames(count: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return uint8 (F, H, W, 3); frame n shows n in binary."""
    assert count <= 2 ** (COLUMNS * ROWS), count
    bits = (np.arange(count)[:, None] >> np.arange(COLUMNS * ROWS)) & 1
    blocks = np.kron(bits.reshape(count, ROWS, COLUMNS), np.ones((1, height // ROWS, width // COLUMNS)))
    return np.repeat((blocks * 220 + 18).astype(np.uint8)[..., None], 3, axis=3)


def read_index(frame: np.ndarray) -> int:
    """Return the number that an (H, W, 3) frame shows, at whatever size."""
    height, width = frame.shape[:2]
    rows = ((np.arange(ROWS) + 0.5) * height / ROWS).astype(int)
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    bits = (frame[np.ix_(rows, columns)].mean(axis=2) > 127).ravel()
    return int((bits << np.arange(bits.size)).sum())


def even_times(count: int, fps: Fraction | int) -> Times:
    """Return count + 1 times: when each frame starts, and when the last one ends."""
    return [index / Fraction(fps) for index in range(count + 1)]


def write_clip(
    path: Path,
    frames: np.ndarray,
    times: Times,
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    clock: Fraction = CLOCK,
    display_matrix: Sequence[int] | None = None,
    sample_aspect: Fraction | None = None,
) -> None:
    """Write frames at exact times, multiples of clock; the last time is the end.

    display_matrix: nine fixed-point numbers, as in MP4.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(24))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.options = {**(options or {})}
        stream.codec_context.time_base = clock
        if sample_aspect:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if display_matrix:
            stream.set_display_matrix(display_matrix)
        ticks = [int(time / clock) for time in times]
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = ticks[index], clock
            _mux(container, stream.encode(frame), ticks)
        _mux(container, stream.encode(), ticks)


def _mux(container: OutputContainer, packets: list[av.Packet[VideoStream]], ticks: list[int]) -> None:
    # Encoders hand on no durations, and the last one is the only trace of when a clip ends.
    lasting = {start: end - start for start, end in pairwise(ticks)}
    for packet in packets:
        if packet.pts in lasting:
            packet.duration = lasting[packet.pts]
        container.mux(packet)


def frames_shown(times: Times, *, count: int, fps: int) -> list[int]:
    """Return the frame on screen at 0, 1/fps, ...: the rule itself, in exact fractions, without a search."""
    starts = times[:-1]
    return [sum(start <= Fraction(step, fps) for start in starts) - 1 for step in range(count)]


def clip_info(frames: int, fps: float, *, width: int = 1280, height: int = 720) -> ClipInfo:
    """Return what an evenly spaced clip would be read as."""
    return ClipInfo(width, height, times_s=tuple(index / fps for index in range(frames)), end_s=frames / fps)


def whole_picture(indices: Sequence[int], *, width: int = WIDTH, height: int = HEIGHT) -> Placement:
    """Return a placement that takes these frames at this size and crops nothing."""
    bucket = Bucket(width=width, height=height, frames=len(indices))
    return Placement(bucket, tuple(indices), resize_width=width, resize_height=height, crop_left=0, crop_top=0)
