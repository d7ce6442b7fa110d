"""Clips with numbered frames in every pair of container and codec that can be written, at any rate, depth and turn."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from helpers.clips import HEIGHT, WIDTH, Times, even_times, indexed_frames

CONTAINERS = ("mp4", "mkv", "webm", "mov", "avi")
CODECS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:info=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12"},
    "mjpeg": {},
    "prores_ks": {},
}
# libvpx is built for 8 bits in PyAV's wheels.
DEPTHS = {
    "libx264": {8: "yuv420p", 10: "yuv420p10le"},
    "libx265": {8: "yuv420p", 10: "yuv420p10le"},
    "libvpx-vp9": {8: "yuv420p"},
    "libsvtav1": {8: "yuv420p", 10: "yuv420p10le"},
    "mjpeg": {8: "yuvj420p"},
    "prores_ks": {10: "yuv422p10le"},
}
RATES: dict[str, Fraction | None] = {
    "15": Fraction(15),
    "16": Fraction(16),
    "23.976": Fraction(24_000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30_000, 1001),
    "30": Fraction(30),
    "60": Fraction(60),
    "variable": None,
}
TURNS = {0: None, 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Clockwise turns as the four numbers of a display matrix."""


@dataclass(frozen=True)
class Make:
    """How a clip is made."""

    container: str
    codec: str
    rate: str = "24"
    depth: int = 8
    turn: int = 0
    width: int = WIDTH
    height: int = HEIGHT
    frames: int = 20

    @property
    def name(self) -> str:
        turned = f"-turned{self.turn}" if self.turn else ""
        return f"{self.codec}-{self.rate}-{self.depth}bit-{self.width}x{self.height}{turned}.{self.container}"

    @property
    def clock(self) -> Fraction:
        """The finest time that the container or codec keeps here."""
        rate = RATES[self.rate]
        return 1 / rate if rate else Fraction(1, 100)

    @property
    def times(self) -> Times:
        """When each frame starts, and the last one ends, as given to the container."""
        rate = RATES[self.rate]
        if rate:
            return even_times(self.frames, rate)
        gaps = [(1, 3, 4, 7, 15)[(index * index) % 5] for index in range(self.frames)]
        return [Fraction(sum(gaps[:index]), 100) for index in range(self.frames + 1)]

    def write(self, folder: Path, frames: np.ndarray | None = None) -> Path:
        """Write the frames given, or numbered ones."""
        path = folder / self.name
        write = _write_animation if self.container in ("gif", "webp") else _write_video
        write(self, path, numbered(self) if frames is None else frames)
        return path


def numbered(make: Make) -> np.ndarray:
    """Return the frames; where the blocks do not fill the size, the last ones are wider."""
    frames = indexed_frames(make.frames, width=make.width, height=make.height)
    missing = (make.height - frames.shape[1], make.width - frames.shape[2])
    return np.pad(frames, [(0, 0), *((0, more) for more in missing), (0, 0)], mode="edge")


@functools.cache
def can_be_muxed(container: str, codec: str) -> bool:
    """Tell whether FFmpeg writes this codec into this container, by trying."""
    depth = min(DEPTHS[codec])
    with tempfile.TemporaryDirectory() as folder:
        try:
            Make(container, codec, depth=depth, frames=1).write(Path(folder))
        except (ValueError, av.FFmpegError):
            return False
    return True


def makes() -> list[Make]:
    """Return what the matrix consists of: every pair at every rate; depths, sizes and turns of every pair at one."""
    pairs = [Make(c, codec, depth=min(DEPTHS[codec])) for c in CONTAINERS for codec in CODECS if can_be_muxed(c, codec)]
    pairs += [Make("gif", "gif"), Make("webp", "webp")]
    at_rates = [replace(pair, rate=rate) for pair in pairs for rate in RATES]
    deep = [replace(pair, depth=depth) for pair in pairs for depth in DEPTHS.get(pair.codec, {})]
    sizes = [replace(pair, width=width, height=height) for pair in pairs for width, height in _sizes(pair.codec)]
    turned = [replace(pair, turn=turn) for pair in pairs if pair.container in ("mp4", "mov") for turn in TURNS]
    return list(dict.fromkeys([*at_rates, *deep, *sizes, *turned]))


def _sizes(codec: str) -> Iterator[tuple[int, int]]:
    # libsvtav1 writes wrong pictures where the height is no multiple of 4, whoever reads them.
    yield (WIDTH + 4, HEIGHT + 4) if codec == "libsvtav1" else (WIDTH + 2, HEIGHT + 6)
    # The others' pictures are halved in colour, and must be even.
    if codec in ("libvpx-vp9", "mjpeg", "gif", "webp"):
        yield WIDTH + 5, HEIGHT + 3


def _write_video(make: Make, path: Path, frames: np.ndarray) -> None:
    with quiet(), av.open(str(path), "w") as container:
        stream = container.add_stream(make.codec, rate=1 / make.clock)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = make.width, make.height
        stream.pix_fmt, stream.options = DEPTHS[make.codec][make.depth], dict(CODECS[make.codec])
        stream.codec_context.time_base = make.clock
        matrix = TURNS[make.turn]
        if matrix:
            a, b, c, d = (number << 16 for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        ticks = [round(time / make.clock) for time in make.times]
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = ticks[index], make.clock
            _mux(container, stream.encode(frame), ticks)
        _mux(container, stream.encode(), ticks)


def _mux(container: OutputContainer, packets: Sequence[av.Packet], ticks: list[int]) -> None:
    for packet in packets:
        if packet.pts in ticks[:-1]:
            packet.duration = ticks[ticks.index(packet.pts) + 1] - packet.pts
        container.mux(packet)


def _write_animation(make: Make, path: Path, frames: np.ndarray) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    durations = [duration_ms(make, index) for index in range(make.frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, disposal=1)


def duration_ms(make: Make, index: int) -> int:
    """Return how long an animation shows a frame: hundredths of a second, and more than one as browsers ask for."""
    start, end = (round(time * 100) for time in make.times[index : index + 2])
    return 10 * max(2, end - start)


def animation_times(make: Make) -> Times:
    """Return when each frame of an animation starts, and the last one ends."""
    ends = [sum(duration_ms(make, before) for before in range(index)) for index in range(make.frames + 1)]
    return [Fraction(end, 1000) for end in ends]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep encoders that write to the terminal themselves from doing so."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
