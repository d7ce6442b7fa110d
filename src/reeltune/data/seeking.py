"""Where decoding can start so that a late frame comes out as it does from the beginning of the file.

The packets are read once, not decoded: their time stamps give the order in which frames are shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from reeltune.data.containers import has_times, is_counted, opened, picture_packets
from reeltune.data.key_frames import packet_reader
from reeltune.data.regular import Stamp, stamp_of
from reeltune.errors import UnreadableFile

WORTH = 100
"""From the beginning, this many frames are decoded sooner than all packets are read."""


@dataclass(frozen=True)
class Start:
    """A key frame that decoding can start at.

    index: how many frames are shown before it. due: the time stamps of it and of the frames after it, as shown.
    """

    index: int
    due: tuple[int, ...]


@dataclass(frozen=True)
class _Seen:
    """One packet. clean, leading: as in key_frames.Found."""

    pts: int
    counted: bool
    clean: bool
    leading: bool


@dataclass(frozen=True)
class _Order:
    """The time stamps of a clip's frames as shown, and at which of these frames decoding can start."""

    shown: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()


def start_before(path: Path, frame: int) -> Start | None:
    """Return the last start at or before a frame; None where decoding starts at the beginning of the file."""
    if frame < WORTH:
        return None
    order = _order(path, stamp_of(path))
    nearest = bisect_right(order.starts, frame) - 1
    # The first one is the beginning.
    if nearest < 1 or frame >= len(order.shown):
        return None
    return Start(order.starts[nearest], order.shown[order.starts[nearest] :])


# The windows of a clip are decoded one after the other.
@lru_cache(maxsize=8)
def _order(path: Path, stamp: Stamp) -> _Order:
    try:
        with opened(path) as (container, stream):
            seen = _seen(path, container, stream)
    except UnreadableFile:
        # Decoding from the beginning says what is wrong, if it comes that far.
        return _Order()
    if len({packet.pts for packet in seen}) < len(seen):
        return _Order()
    shown = sorted(packet.pts for packet in seen if packet.counted)
    place = {pts: index for index, pts in enumerate(shown)}
    return _Order(tuple(shown), tuple(place[pts] for pts in _starts(seen)))


def _seen(path: Path, container: InputContainer, stream: VideoStream) -> list[_Seen]:
    """Return the packets in the order of decoding; none where one of them keeps decoding to the beginning."""
    look = packet_reader(stream) if has_times(container) else None
    seen: list[_Seen] = []
    for packet in picture_packets(path, container, stream) if look else ():
        if packet.size == 0:
            continue
        found = look(packet) if look else None
        changes = packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change")
        if found is None or found.bound or packet.pts is None or (changes and seen):
            return []
        clean = found.clean and packet.is_keyframe and is_counted(packet, stream)
        seen.append(_Seen(packet.pts, is_counted(packet, stream), clean, found.leading))
    return seen


def _starts(seen: list[_Seen]) -> Iterator[int]:
    """Yield the time stamps of clean packets that part all others into those shown before and those after."""
    after: list[int] = []
    earliest = seen[-1].pts + 1 if seen else 0
    for packet in reversed(seen):
        after.append(earliest)
        earliest = earliest if packet.leading else min(earliest, packet.pts)
    latest = seen[0].pts - 1 if seen else 0
    for packet, following in zip(seen, reversed(after), strict=True):
        if packet.clean and latest < packet.pts < following:
            yield packet.pts
        latest = max(latest, packet.pts)
