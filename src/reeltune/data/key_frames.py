"""Which packets decoding can start at, to the bit: what the packets themselves say, not what a container calls a key.

A container also marks pictures from which a decoder only recovers by and by. A packet is a clean start where the
codec's standard has every picture shown at or after it need nothing from before it, and nothing else that came before
it reaches beyond it: parameters that changed, film grain, a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.video.stream import VideoStream


@dataclass(frozen=True)
class Found:
    """What one packet is.

    clean: decoding can start here; leading: a picture that may be left out when it does.
    bound: with this in a clip, decoding starts only at its beginning.
    """

    clean: bool = False
    leading: bool = False
    bound: bool = False


Look = Callable[[av.Packet], Found]


def packet_reader(stream: VideoStream) -> Look | None:
    """Return what tells a stream's packets apart; None for one that is decoded only from its beginning."""
    # Alpha is a stream of its own, with key frames of its own.
    if stream.metadata.get("alpha_mode") == "1":
        return None
    codec = stream.codec_context.codec.canonical_name
    if codec in _UNITS:
        return _unit_reader(_UNITS[codec], bytes(stream.codec_context.extradata or b""))
    starts = _STARTS.get(codec)
    return (lambda packet: Found(clean=starts(bytes(packet)))) if starts else None


@dataclass(frozen=True)
class _Units:
    """How H.264 or HEVC number their NAL units; ITU-T H.264 table 7-1 and H.265 table 7-1.

    header: bytes before a unit's content; shift, mask: where its first byte holds the kind.
    config: where a container keeps the width of the units' lengths, ISO/IEC 14496-15.
    """

    header: int
    shift: int
    mask: int
    config: int
    pictures: frozenset[int]
    keys: frozenset[int]
    leading: frozenset[int]
    parameters: frozenset[int]
    notes: frozenset[int]


_UNITS = {
    # A recovery point that is no IDR picture may need pictures from before it.
    "h264": _Units(
        header=1,
        shift=0,
        mask=0x1F,
        config=4,
        pictures=frozenset(range(1, 6)),
        keys=frozenset({5}),
        leading=frozenset(),
        parameters=frozenset({7, 8, 13, 15}),
        notes=frozenset({6}),
    ),
    # What is shown after an IRAP picture needs only it and what follows it.
    "hevc": _Units(
        header=2,
        shift=1,
        mask=0x3F,
        config=21,
        pictures=frozenset(range(32)),
        keys=frozenset(range(16, 22)),
        leading=frozenset(range(6, 10)),
        parameters=frozenset({32, 33, 34}),
        notes=frozenset({39, 40}),
    ),
}
_LASTING_NOTES = {19, 47, 147}
"""Film grain, a turn and another transfer curve hold until they are taken back; H.274 numbers them."""
_HIGH_444 = 244
"""Decoders make up for an old encoder's mistake in this profile, and only the first packet names the encoder."""


def _unit_reader(units: _Units, config: bytes) -> Look | None:
    if len(config) <= units.config or config[0] != 1 or (units.header == 1 and config[1] == _HIGH_444):
        return None
    width = (config[units.config] & 3) + 1
    carried: set[bytes] = set()

    def look(packet: av.Packet) -> Found:
        kinds, own, bound = set[int](), set[bytes](), False
        for unit in _units(memoryview(packet), width):
            kind = unit[0] >> units.shift & units.mask
            if kind in units.pictures:
                kinds.add(kind)
            elif kind in units.parameters and bytes(unit) not in config:
                own.add(bytes(unit))
            elif kind in units.notes:
                bound = bound or not _LASTING_NOTES.isdisjoint(_note_kinds(bytes(unit[units.header :])))
        found = Found(bool(kinds) and kinds <= units.keys and carried <= own, bool(kinds) and kinds <= units.leading)
        carried.update(own)
        return Found(bound=True) if bound else found

    return look


def _units(content: memoryview, width: int) -> Iterator[memoryview]:
    at = 0
    while at + width < len(content):
        start = at + width
        at = start + int.from_bytes(content[at:start], "big")
        if at > start:
            yield content[start:at]


def _note_kinds(content: bytes) -> Iterator[int]:
    # Kind and size are numbers that go on while their bytes are 255; zeros are kept apart by a 3.
    rest = iter(content.replace(b"\0\0\3", b"\0\0").rstrip(b"\0")[:-1])
    for first in rest:
        yield _number(first, rest)
        for _ in range(_number(next(rest, 0), rest)):
            next(rest, None)


def _number(first: int, rest: Iterator[int]) -> int:
    total = first
    while first == 255:
        first = next(rest, 0)
        total += first
    return total


def _starts_vp9(content: bytes) -> bool:
    # VP9 bitstream, 7.2: marker 2, profile (3 has one more bit), not shown again, a key frame, shown.
    return content[0] & 0b11001110 == 0b10000010 and content[0] & 0b00110000 != 0b00110000


def _starts_av1(content: bytes) -> bool:
    # AV1 bitstream, 5.3 and 5.9: a sequence header, then a frame that is not shown again but is a key frame and shown.
    at, described = 0, False
    while at < len(content):
        kind, extended, sized = content[at] >> 3 & 15, content[at] >> 2 & 1, content[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(content):
            size |= (content[at] & 127) << shift
            shift, at = shift + 7, at + 1
            sized = content[at - 1] >> 7
        if kind in (3, 6):
            return described and at < len(content) and content[at] & 0b11110000 == 0b00010000
        described = described or kind == 1
        at += size
    return False


def _starts_mjpeg(content: bytes) -> bool:
    # A picture without tables of its own is decoded with those of an earlier one.
    return b"\xff\xdb" in content and b"\xff\xc4" in content


_STARTS: dict[str, Callable[[bytes], bool]] = {
    "vp9": _starts_vp9,
    "av1": _starts_av1,
    "mjpeg": _starts_mjpeg,
    **dict.fromkeys(("prores", "dnxhd", "png"), bool),
}
