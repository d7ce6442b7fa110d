"""What lies in the folder of a cache: entries, and drafts of entries that were never finished. No torch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.data.sources.mirror import FOLDER as FETCHED
from reeltune.whole_files import DRAFTS

PLAIN, PACKED = ".safetensors", ".safetensors.zst"

REFERENCES = "references"
"""The folder inside a cache that says who needs which entries."""

_SHARD = re.compile(r"[0-9a-f]{2}")
_ENTRY = re.compile(rf"([0-9a-f]{{32}}){re.escape(PLAIN)}(\..+)?")
_WRITER = re.compile(r"\.(\d+)\.writing$")
_MINUTE_S, _HOUR_S = 60.0, 3600.0


@dataclass(frozen=True)
class EntryFile:
    """One entry of a cache on disk, whole or damaged."""

    path: Path
    key: str
    size_bytes: int

    @property
    def packed(self) -> bool:
        return self.path.name.endswith(PACKED)


def entry_files(folder: Path) -> Iterator[EntryFile]:
    """Yield the entries of a cache, in order; none where the folder is not there."""
    for path in _inside(folder):
        if match := _ENTRY.fullmatch(path.name):
            try:
                yield EntryFile(path, match[1], path.stat().st_size)
            except FileNotFoundError:
                continue  # gone since the folder was listed: another process collects too


def stale_drafts(folder: Path, *, now: float | None = None) -> list[Path]:
    """Return drafts that nobody writes any more.

    Their process is gone and nothing was added for a minute; or for an hour, whatever has its number now. Nobody writes
    an entry for as long as a minute, and a process that is not seen here may live on another machine. What is fetched
    may come in large pieces from slow places, so those drafts have an hour.
    """
    now = time.time() if now is None else now
    places = [folder, folder / REFERENCES]
    drafts = [path for place in places if place.is_dir() for path in place.glob(DRAFTS)]
    drafts += [path for path in _inside(folder) if path.name.startswith(".")]
    fetched = [*(folder / FETCHED).glob(DRAFTS), *(folder / FETCHED).glob(f"*/{DRAFTS}")]
    return [
        *(path for path in drafts if _is_stale(path, now, _MINUTE_S)),
        *(path for path in fetched if _is_stale(path, now, _HOUR_S)),
    ]


def remove_stale_drafts(folder: Path) -> int:
    """Remove drafts that nobody writes any more, and return how many they were."""
    drafts = stale_drafts(folder)
    for path in drafts:
        path.unlink(missing_ok=True)
    return len(drafts)


def _inside(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for shard in sorted(place for place in folder.iterdir() if _SHARD.fullmatch(place.name) and place.is_dir()):
        yield from sorted(shard.iterdir())


def _is_stale(draft: Path, now: float, limit_s: float) -> bool:
    writer = _WRITER.search(draft.name)
    try:
        age_s = now - draft.stat().st_mtime
    except FileNotFoundError:
        return False
    return writer is not None and age_s > (_HOUR_S if is_alive(int(writer[1])) else limit_s)


def is_alive(process: int) -> bool:
    """Tell whether a process of this machine has a number."""
    import psutil

    return process == os.getpid() or psutil.pid_exists(process)
