"""Files that broke while they were decoded, or hung or crashed a decoder: no later start stumbles over them again.

The list lies beside the encoded clips of its dataset. A file that is replaced or mended is another file: it is looked
at again. Only a list: nothing is moved or deleted.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from reeltune.contracts.clip import FileRef
from reeltune.whole_files import write_json

log = logging.getLogger(__name__)

FILE_NAME = "quarantine.json"
VERSION = 1
LOCK_S = 10.0
"""The longest to wait for another process that writes the same list: a moment's work."""


@dataclass(frozen=True)
class BrokenFile:
    """One file on the list. name: FileRef's. stamp: what told its versions apart. when: ISO 8601, UTC."""

    name: str
    origin: str
    stamp: str
    reason: str
    when: str


class Quarantine:
    """The files of one dataset that broke. folder: its cache_dir_vae, which need not be there."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._place = folder / FILE_NAME
        self._clock = clock
        self._known = _read(self._place)
        self._added: dict[str, BrokenFile] = {}

    def listed(self, file: FileRef) -> BrokenFile | None:
        """Return what the list says of a file; None when it is not there, or has been changed since."""
        broken = self._known.get(_name(file))
        return broken if broken and broken.stamp == file.stamp else None

    def add(self, file: FileRef, reason: str) -> None:
        """Put a file on the list."""
        when = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        broken = BrokenFile(_name(file), file.origin, file.stamp, reason, when)
        self._known[broken.name] = self._added[broken.name] = broken

    def save(self) -> None:
        """Write what is new, beside what other processes have written meanwhile."""
        if not self._added:
            return
        try:
            with self._alone():
                known = _read(self._place) | self._added
                write_json(self._place, {"version": VERSION, "files": [asdict(known[name]) for name in sorted(known)]})
        except OSError as error:
            log.warning("%s cannot be written, so these files are tried again next time: %s", self._place, error)
        self._added.clear()

    def clear(self) -> int:
        """Forget all files, and return how many they were."""
        count = len(self._known)
        self._known.clear()
        self._added.clear()
        if self._place.exists():
            with self._alone():
                self._place.unlink(missing_ok=True)
        return count

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the list meanwhile. Raises OSError."""
        from filelock import FileLock

        self._place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._place.with_name(f".{FILE_NAME}.lock"), timeout=LOCK_S):
            yield


def _name(file: FileRef) -> str:
    return file.name or str(file.path)


def _read(place: Path) -> dict[str, BrokenFile]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        files = content["files"] if content["version"] == VERSION else []
        return {one["name"]: BrokenFile(**one) for one in files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read, so the files that it lists are tried again: %s", place, error)
        return {}
