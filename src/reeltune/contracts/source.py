"""Where a dataset's files come from: the protocol that folders, object stores, tables and hub datasets fill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from reeltune.contracts.clip import FileRef


@dataclass(frozen=True)
class Entry:
    """One file that a source offers.

    captions: what the source itself says of it, from a table's column or a hub dataset; None where the source has no
        words of its own, so that they come from a text beside, the file's name or the dataset's prompt.
    """

    file: FileRef
    captions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Passed:
    """A file, or a row of a table, that is not offered. reason: its kind, a colon, why, and what would admit it."""

    path: Path
    reason: str
    url: str = ""


@dataclass(frozen=True)
class Found:
    """All that a source holds: what is offered, and what is passed over with the reason; each in a fixed order."""

    entries: tuple[Entry, ...]
    passed: tuple[Passed, ...] = ()


@runtime_checkable
class Source(Protocol):
    """One dataset's files."""

    def find(self) -> Found:
        """List what there is, without reading it. Raises DataError where the place as a whole cannot be read."""
        ...

    def fetch(self, file: FileRef) -> Path:
        """Return where a file's bytes are on this machine, bringing them here if need be. Raises UnreadableFile."""
        ...

    def text_beside(self, file: FileRef) -> bytes | None:
        """Return the content of the text file that belongs to a clip, clip.txt beside clip.mp4; None without one.

        Raises DataError, with the place and what to do, where it is there and cannot be read.
        """
        ...
