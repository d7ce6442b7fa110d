"""What is true of a file before it is opened: a plain file, not empty, and the same until it is closed.

Pipes and devices never end, so they are never opened.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reeltune.errors import UnreadableFile

CHANGED = "changed while being read; wait until it is written whole, and start again"

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


@contextmanager
def steady(path: Path) -> Iterator[bytes]:
    """Give the first bytes of a plain file; raises UnreadableFile when it is none or changes meanwhile."""
    before = stamp_of(path)
    try:
        yield _opening(path)
    except UnreadableFile as error:
        # What broke the reading may be that the file was being written.
        if _has_changed(path, before):
            raise UnreadableFile(path, CHANGED) from error
        raise
    if _has_changed(path, before):
        raise UnreadableFile(path, CHANGED)


def stamp_of(path: Path) -> Stamp:
    """Return a plain file's size and time of change. Raises UnreadableFile for anything else and for an empty file."""
    try:
        status = path.stat()
    except OSError as error:
        raise cannot_be_read(path, error.strerror) from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "something else")
        raise UnreadableFile(path, f"not a regular file but {kind}; move it out of the dataset")
    if status.st_size == 0:
        raise UnreadableFile(path, "empty file (0 bytes); copy or export it again")
    return status.st_size, status.st_mtime_ns


def cannot_be_read(path: Path, problem: str | None) -> UnreadableFile:
    """Return what the system says of a file, in words."""
    return UnreadableFile(path, f"cannot be read: {problem or 'no reason is given'}; check the file")


def _has_changed(path: Path, before: Stamp) -> bool:
    try:
        return stamp_of(path) != before
    except UnreadableFile:
        return True


def _opening(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise cannot_be_read(path, error.strerror) from error
