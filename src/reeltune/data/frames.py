"""Which frames of a clip are trained: pure arithmetic in time.

The frame shown at time t is the last one whose time stamp is <= t. `buckets` does the arithmetic in space.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from reeltune.contracts.clip import ClipInfo

# Far below any frame's duration, far above what float64 seconds lose: 0.1 + 0.2 must count as 0.3.
TOLERANCE_S = 1e-6
# 15 and 17 fps are taken as 16: a speed-up of 7 % is hard to see, a doubled frame each second is not.
NEAR = 0.07
# Rounded time stamps are a few hundredths of a frame off; a picture that stands still for a while is more than this.
UNEVEN = 0.5


@dataclass(frozen=True)
class Rate:
    """How a clip's frames become training frames.

    fps: training frames per second.
    one_to_one: every frame is taken, whatever its time stamp; otherwise the clip is resampled by time stamps.
    note: what this does to the clip, for people.
    """

    fps: float
    one_to_one: bool
    note: str


def training_rate(info: ClipInfo, *, setting: float | Literal["native", "model"], model_fps: float) -> Rate:
    """Decide how a clip is brought to its training rate.

    A clip near that rate whose frames are not evenly spaced is resampled too: one to one, its motion would jerk.

    setting: native takes the clip's own frames; model wants model_fps; a number wants that rate.
    """
    if setting == "native":
        note = f"{info.fps:.1f} fps taken one to one, shown by the model at {model_fps:.1f}"
        return Rate(fps=info.fps, one_to_one=True, note=note)
    fps = float(model_fps if setting == "model" else setting)
    if abs(info.fps - fps) > NEAR * fps:
        return Rate(fps=fps, one_to_one=False, note=f"{info.fps:.1f} -> {fps:.1f} fps")
    if not _evenly_spaced(info):
        return Rate(fps=fps, one_to_one=False, note=f"{info.fps:.1f} -> {fps:.1f} fps, unevenly spaced frames")
    speed = fps / info.fps
    if abs(speed - 1) < 0.005:
        return Rate(fps=fps, one_to_one=True, note=f"{fps:.1f} fps taken one to one")
    note = f"{info.fps:.1f} fps taken one to one as {fps:.1f} ({speed:.2f} times as fast)"
    return Rate(fps=fps, one_to_one=True, note=note)


def _evenly_spaced(info: ClipInfo) -> bool:
    """Tell whether every frame starts within half a frame of where it would at an even rate."""
    frame_s = info.end_s / info.frames
    return all(abs(time - index * frame_s) <= UNEVEN * frame_s for index, time in enumerate(info.times_s))


def frames_at_rate(info: ClipInfo, fps: float) -> int:
    """Count the times 0, 1/fps, 2/fps, ... before the clip's end; at least 1."""
    return max(1, math.ceil((info.end_s - TOLERANCE_S) * fps))


def frame_indices(info: ClipInfo, *, num_frames: int, fps: float, start: int = 0) -> tuple[int, ...]:
    """Return the frame shown at each of the times start/fps, (start + 1)/fps, ..., num_frames of them."""
    steps = range(start, start + num_frames)
    return tuple(bisect_right(info.times_s, step / fps + TOLERANCE_S) - 1 for step in steps)


def frames_available(info: ClipInfo, rate: Rate) -> int:
    """Count the training frames that a whole clip yields."""
    return info.frames if rate.one_to_one else frames_at_rate(info, rate.fps)


def window(info: ClipInfo, rate: Rate, *, num_frames: int, start: int = 0) -> tuple[int, ...]:
    """Return the source frames of a sample that starts at a training frame and ends with the clip or before."""
    assert start + num_frames <= frames_available(info, rate), (start, num_frames, rate)
    if rate.one_to_one:
        return tuple(range(start, start + num_frames))
    return frame_indices(info, num_frames=num_frames, fps=rate.fps, start=start)


def source_seconds(info: ClipInfo, rate: Rate, *, num_frames: int) -> float:
    """Return how much of the source a sample spans, in seconds of the source's own clock."""
    return num_frames / (info.fps if rate.one_to_one else rate.fps)
