"""Whether the parts that a file says it has fit into each other and into it.

Readers of AVI and Matroska skip what they cannot make out and go on behind it, without a word: frames would be missing
and those after them would be shown too early. And they play what is left of a file that was cut off. Only the parts'
headers are read, and all of those parts of a Matroska file that carry a checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reeltune.data.regular import cannot_be_read
from reeltune.errors import UnreadableFile

_SEGMENT, _CLUSTER, _CHECKSUM = b"\x18S\x80g", b"\x1fC\xb6u", b"\xbf"
# RFC 9559: what a segment consists of, and a cluster.
_IN_SEGMENT = {bytes.fromhex(number) for number in ("114D9B74", "1549A966", "1654AE6B", "1F43B675", "1C53BB6B")} | {
    bytes.fromhex(number) for number in ("1941A469", "1043A770", "1254C367", "EC", "BF")
}
_IN_CLUSTER = {bytes.fromhex(number) for number in ("E7", "5854", "A7", "AB", "A3", "A0", "A2", "AF", "EC", "BF")}
_CHUNK = 1 << 20


class _OpenEndError(Exception):
    """A part names no length, as in a live recording: nothing can be said of what follows."""


@dataclass(frozen=True)
class _Part:
    """One element, chunk or box. start, end: its content, as bytes of the file."""

    kind: bytes
    start: int
    end: int


def check_structure(path: Path, opening: bytes) -> None:
    """Raise UnreadableFile, with the place, for a video that is cut off or whose parts do not fit together."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            if opening[:4] == b"\x1aE\xdf\xa3":
                _check_matroska(path, file, end)
            elif opening[:4] == b"RIFF":
                _check_riff(path, file, end)
            elif opening[4:8] == b"ftyp":
                _check_boxes(path, file, end)
    except _OpenEndError:
        return
    except OSError as error:
        raise cannot_be_read(path, error.strerror) from error


def _check_matroska(path: Path, file: BinaryIO, end: int) -> None:
    for part in _elements(path, file, 0, end):
        if part.kind != _SEGMENT:
            continue
        for child in _elements(path, file, part.start, part.end):
            _check_kind(path, child, _IN_SEGMENT)
            if not _has_checksum(path, file, child) and child.kind == _CLUSTER:
                for block in _elements(path, file, child.start, child.end):
                    _check_kind(path, block, _IN_CLUSTER)
        return


def _check_kind(path: Path, part: _Part, kinds: set[bytes]) -> None:
    if part.kind not in kinds:
        raise _damaged(path, part.start)


def _has_checksum(path: Path, file: BinaryIO, part: _Part) -> bool:
    """Tell whether a part carries a checksum of what follows it, after comparing the two."""
    file.seek(part.start)
    head = file.read(6)
    if part.kind in (b"\xec", _CHECKSUM) or head[:2] != _CHECKSUM + b"\x84" or part.end - part.start < 6:
        return False
    value, left = 0, part.end - part.start - 6
    while left > 0 and (content := file.read(min(left, _CHUNK))):
        value, left = zlib.crc32(content, value), left - len(content)
    if value != int.from_bytes(head[2:], "little"):
        raise _damaged(path, part.start)
    return True


def _elements(path: Path, file: BinaryIO, at: int, end: int) -> Iterator[_Part]:
    # RFC 8794: the leading zeros of a number tell its width; all ones is a length that is left open.
    while at < end:
        file.seek(at)
        head = file.read(12)
        width = 9 - head[0].bit_length()
        sized = head[width : width + 1]
        if width > 4 or not sized or sized == b"\0":
            raise _damaged(path, at)
        size_width = 9 - sized[0].bit_length()
        every_bit = (1 << 7 * size_width) - 1
        size = int.from_bytes(head[width : width + size_width], "big") & every_bit
        if size == every_bit:
            raise _OpenEndError
        start = at + width + size_width
        yield _Part(head[:width], start, _fitting(path, start, size, end, file))
        at = start + size


def _check_riff(path: Path, file: BinaryIO, end: int) -> None:
    for part in _chunks(path, file, 0, end):
        if part.kind != b"RIFF":
            # Whatever follows the last part is no part.
            return
        _check_list(path, file, part)


def _check_list(path: Path, file: BinaryIO, part: _Part) -> None:
    for child in _chunks(path, file, part.start + 4, part.end):
        if not all(0x20 <= letter < 0x7F for letter in child.kind):
            raise _damaged(path, child.start)
        if child.kind == b"LIST":
            _check_list(path, file, child)


def _chunks(path: Path, file: BinaryIO, at: int, end: int) -> Iterator[_Part]:
    while at + 8 <= end:
        file.seek(at)
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        yield _Part(head[:4], at + 8, _fitting(path, at + 8, size, end, file))
        # Chunks start at even places.
        at += 8 + size + size % 2


def _check_boxes(path: Path, file: BinaryIO, end: int) -> None:
    # ISO/IEC 14496-12: 32 bits of size, four letters; size 1: 64 bits follow; size 0: to the end of the file.
    at = 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        # Whatever follows the last box is no box.
        if length < 8 or not head[4:8].isalnum():
            return
        at = _fitting(path, at, length, end, file)


def _fitting(path: Path, start: int, size: int, end: int, file: BinaryIO) -> int:
    """Return where a part ends, which must lie in what it is a part of."""
    if start + size <= end:
        return start + size
    missing = start + size - file.seek(0, 2)
    if missing <= 0 or end < file.tell():
        raise _damaged(path, start)
    raise UnreadableFile(path, f"cut off or damaged: {missing} bytes are missing at its end; copy or export it again")


def _damaged(path: Path, at: int) -> UnreadableFile:
    return UnreadableFile(path, f"damaged at byte {at}: its parts do not fit together; copy or export it again")
