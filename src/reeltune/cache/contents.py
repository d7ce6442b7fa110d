"""Fingerprints of whole files, remembered, so that a folder's bytes are read once.

Only a memory: without it the files are read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from reeltune.contracts.clip import FileRef
from reeltune.remembered import keep_at, recall_at

_KEY = ("contents", "2")
"""The number is raised whenever `Known` changes."""


@dataclass(frozen=True)
class Known:
    """One file whose bytes were read. stamp: what told its versions apart then."""

    origin: str
    name: str
    stamp: str
    content: str


class ContentFingerprints:
    """Fingerprints of the files of one dataset. memory: a JSON file, read once and written by `save`."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known = {known.origin: known for known in (Known(**one) for one in recall_at(memory, _KEY) or ())}
        # A folder that came from another machine: the same names and times, below another root.
        self._moved = {known.name: known for known in self._known.values() if known.name and _is_gone(known.origin)}
        self._changed = False

    def of(self, file: FileRef, fetch: Callable[[FileRef], Path]) -> str:
        """Return the fingerprint of a file's bytes. Raises what `fetch` raises, and OSError."""
        stamp = file.stamp
        for known in (self._known.get(file.origin), self._moved.get(file.name)):
            if known and known.stamp == stamp:
                return known.content
        content = _fingerprint(fetch(file))
        self._known[file.origin] = Known(file.origin, file.name, stamp, content)
        self._changed = True
        return content

    def save(self) -> None:
        """Write what is known, whole or not at all, where anything is new and the folder can be written."""
        if self._changed:
            keep_at(self._memory, _KEY, [asdict(known) for known in self._known.values()])


def _is_gone(origin: str) -> bool:
    return "://" not in origin and not Path(origin).exists()


def _fingerprint(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
