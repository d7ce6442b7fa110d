"""What a video file holds, from the time stamps of its packets; and the one way to open it.

Packets are counted, not decoded: only the first picture is decoded, for its size and orientation. What is counted here
is what `decode` yields, picture for picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.stream import VideoStream

from reeltune.contracts.clip import ClipInfo
from reeltune.data.orientation import orientation
from reeltune.errors import UnreadableFile


@dataclass(frozen=True)
class _Stamp:
    """When one picture is shown and for how long, in ticks of the stream's clock."""

    shown: int | None
    decoded: int | None
    ticks: int


def probe(path: Path) -> ClipInfo:
    """Read size and time stamps. Raises UnreadableFile."""
    with opened(path) as (container, stream):
        first, stamps = _read(path, container, stream)
        if first is None or not stamps:
            raise UnreadableFile(path, "not one frame in its video stream; export it again")
        times_s, end_s = _times(stamps, stream)
        aspect = stream.sample_aspect_ratio or 1
        width, height = orientation(first).shown_size(round(first.width * aspect), first.height)
        return ClipInfo(width=width, height=height, times_s=times_s, end_s=end_s)


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file at its main video stream; every failure inside becomes UnreadableFile with a reason in words."""
    try:
        if path.stat().st_size == 0:
            raise UnreadableFile(path, "empty file (0 bytes); copy or export it again")
        # Absolute: a relative name with a colon in it would be taken for a network address.
        with av.open(str(path.absolute())) as container:
            yield container, _video_stream(path, container)
    except InvalidDataError as error:
        raise UnreadableFile(path, "not a video, or damaged; copy it again or convert it to H.264 mp4") from error
    except (FFmpegError, OSError) as error:
        raise UnreadableFile(path, f"cannot be read: {error.strerror}; check the file") from error


def picture_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    """Yield the stream's packets from the first key frame on; a cut-out clip may start with undecodable ones."""
    return dropwhile(lambda packet: not packet.is_keyframe, container.demux(stream))


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = ", ".join(sorted({stream.type for stream in container.streams} - {"video"})) or "nothing"
        raise UnreadableFile(path, f"no video stream, only {kinds}; move it out of the dataset")
    if stream.codec_context is None:
        raise UnreadableFile(path, "no decoder for its codec; convert it to H.264 mp4")
    return stream


def _read(path: Path, container: InputContainer, stream: VideoStream) -> tuple[av.VideoFrame | None, list[_Stamp]]:
    first: av.VideoFrame | None = None
    stamps: list[_Stamp] = []
    for packet in picture_packets(container, stream):
        if packet.is_corrupt:
            raise UnreadableFile(path, f"cut off after {len(stamps)} frames; copy or export it again")
        if packet.size and not packet.is_discard and _is_shown(packet, stream):
            stamps.append(_Stamp(shown=packet.pts, decoded=packet.dts, ticks=packet.duration or 0))
        if first is None:
            first = next(iter(packet.decode()), None)
    return first, stamps


def _is_shown(packet: av.Packet[VideoStream], stream: VideoStream) -> bool:
    # VP8 has packets of their own for reference pictures that are never shown: bit 4 of the first byte, RFC 6386, 9.1.
    return stream.codec_context.name not in ("vp8", "libvpx") or bool(bytes(packet)[0] & 0x10)


def _times(stamps: list[_Stamp], stream: VideoStream) -> tuple[tuple[float, ...], float]:
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


def _ticks(stamp: _Stamp, *, by_decoding: bool) -> int:
    return (stamp.decoded if by_decoding else stamp.shown) or 0
