"""What a video or picture holds, from the time stamps of its frames.

A video's packets are counted, not decoded: only the first picture is decoded, for its size, orientation and colours.
What is counted here is what `decode` yields, picture for picture. What a file is, its content says, not its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from reeltune.contracts.clip import ClipInfo
from reeltune.data.containers import check_colors, has_times, is_counted, opened, picture_packets, strict_decoder
from reeltune.data.orientation import orientation
from reeltune.data.pictures import is_picture, probe_picture
from reeltune.data.regular import steady
from reeltune.data.structure import check_structure
from reeltune.errors import UnreadableFile

Times = tuple[float, ...]


@dataclass(frozen=True)
class _Stamp:
    """When one picture is shown and for how long, in ticks of the stream's clock."""

    shown: int | None
    decoded: int | None
    ticks: int


def probe(path: Path) -> ClipInfo:
    """Read size and time stamps. Raises UnreadableFile."""
    with steady(path) as opening:
        check_structure(path, opening)
        return probe_picture(path) if is_picture(opening) else _probe_video(path)


def _probe_video(path: Path) -> ClipInfo:
    with opened(path) as (container, stream):
        first, stamps = _read(path, container, stream)
        if first is None or not stamps:
            raise UnreadableFile(path, "not one frame in its video stream; export it again")
        check_colors(path, first)
        times_s, end_s = _times(stamps, stream)
        if container.format.name.startswith("matroska"):
            times_s, end_s = _unrounded(times_s, end_s, stream)
        elif not has_times(container) and stream.codec_context.has_b_frames:
            _check_even(path, times_s)
        aspect = stream.sample_aspect_ratio or 1
        width, height = orientation(first).shown_size(round(first.width * aspect), first.height)
        return ClipInfo(width=width, height=height, times_s=times_s, end_s=end_s)


def _read(path: Path, container: InputContainer, stream: VideoStream) -> tuple[av.VideoFrame | None, list[_Stamp]]:
    decoder = strict_decoder(stream)
    first: av.VideoFrame | None = None
    stamps: list[_Stamp] = []
    for packet in picture_packets(path, container, stream):
        if is_counted(packet, stream):
            stamps.append(_stamp(packet, has_times=has_times(container)))
        if first is None:
            first = next(iter(decoder.decode(packet)), None)
    return first, stamps


def _stamp(packet: av.Packet[VideoStream], *, has_times: bool) -> _Stamp:
    if has_times:
        return _Stamp(shown=packet.pts, decoded=packet.dts, ticks=packet.duration or 0)
    # Each chunk of an AVI lasts one tick, and empty ones follow where a picture is shown for longer.
    return _Stamp(shown=None, decoded=packet.dts, ticks=0)


def _times(stamps: list[_Stamp], stream: VideoStream) -> tuple[Times, float]:
    """Return the frames' times and the end, in seconds from the first frame."""
    # Some old containers keep only the order of decoding; its clock ticks at the same rate.
    by_decoding = any(stamp.shown is None for stamp in stamps)
    ordered = sorted((_ticks(stamp, by_decoding=by_decoding), stamp.ticks) for stamp in stamps)
    start, (last, duration) = ordered[0][0], ordered[-1]
    second = float(1 / stream.time_base) if stream.time_base else 1.0
    times_s = tuple((at - start) / second for at, _ in ordered)
    if duration > 0:
        return times_s, (last - start + duration) / second
    if last > start:
        return times_s, times_s[-1] * len(times_s) / (len(times_s) - 1)
    return times_s, float(1 / (stream.average_rate or stream.guessed_rate or 1))


def _unrounded(times_s: Times, end_s: float, stream: VideoStream) -> tuple[Times, float]:
    """Return the times that a constant rate has, where Matroska's milliseconds are those times rounded."""
    rate = stream.average_rate
    exact_s = tuple(float(index / rate) for index in range(len(times_s))) if rate else ()
    if not rate or any(abs(time - exact) > 0.001 + 1e-9 for time, exact in zip(times_s, exact_s, strict=True)):
        return times_s, end_s
    return exact_s, float(len(times_s) / rate)


def _check_even(path: Path, times_s: Times) -> None:
    gaps_s = [after - before for before, after in pairwise(times_s)]
    if gaps_s and max(gaps_s) > 1.5 * min(gaps_s):
        reason = "an AVI of uneven rate with B-frames does not say when its frames are shown; convert it to mp4"
        raise UnreadableFile(path, reason)


def _ticks(stamp: _Stamp, *, by_decoding: bool) -> int:
    return (stamp.decoded if by_decoding else stamp.shown) or 0
