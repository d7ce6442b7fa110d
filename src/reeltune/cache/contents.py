"""Fingerprints of whole files, remembered, so that a folder's bytes are read once.

Only a memory: without it the files are read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from reeltune.contracts.clip import FileRef
from reeltune.whole_files import write_json

VERSION = 1
_CHUNK = 1 << 20


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
        self._known = {known.origin: known for known in _read(memory)}
        # A folder that came from another machine: the same names and times, below another root.
        self._moved = {known.name: known for known in self._known.values() if known.name and _is_gone(known.origin)}
        self._changed = False

    def of(self, file: FileRef, fetch: Callable[[FileRef], Path]) -> str:
        """Return the fingerprint of a file's bytes. Raises what `fetch` raises, and OSError."""
        stamp = _stamp(file)
        for known in (self._known.get(file.origin), self._moved.get(file.name)):
            if known and known.stamp == stamp:
                return known.content
        content = _fingerprint(fetch(file))
        self._known[file.origin] = Known(file.origin, file.name, stamp, content)
        self._changed = True
        return content

    def save(self) -> None:
        """Write what is known, whole or not at all, where anything is new."""
        if self._changed:
            write_json(self._memory, {"version": VERSION, "files": [asdict(known) for known in self._known.values()]})


def _stamp(file: FileRef) -> str:
    return file.version or f"{file.size_bytes} {file.mtime_ns}"


def _is_gone(origin: str) -> bool:
    return "://" not in origin and not Path(origin).exists()


def _fingerprint(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read(memory: Path) -> list[Known]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        return [Known(**one) for one in content["files"]] if content["version"] == VERSION else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
