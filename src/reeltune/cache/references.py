"""Who needs which entries of a cache: one small file per configuration, written before anything is encoded. No torch.

So `reeltune cache gc` knows, without the data or the model, what nobody needs any more.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reeltune.cache.entries import REFERENCES, is_alive
from reeltune.cache.keys import digest_of
from reeltune.whole_files import write_json

VERSION = 1


@dataclass(frozen=True)
class User:
    """A configuration that uses caches. files: its configuration files. output_dir: its run folder."""

    files: tuple[Path, ...]
    output_dir: Path

    @property
    def digest(self) -> str:
        return digest_of([str(path.absolute()) for path in (*self.files, self.output_dir)])


@dataclass(frozen=True)
class Reference:
    """What one configuration needs of one cache, as its file says."""

    path: Path
    files: tuple[Path, ...]
    output_dir: Path
    keys: frozenset[str]
    host: str
    process: int

    @property
    def is_running(self) -> bool:
        """Tell whether the process that wrote it still runs here."""
        return self.host == socket.gethostname() and is_alive(self.process)

    @property
    def is_living(self) -> bool:
        """Tell whether anybody can still ask for it: its configuration is there, or a run of it goes on."""
        return self.is_running or not self.files_gone

    @property
    def files_gone(self) -> str:
        """Say which of the configuration's files are gone; empty when all are there."""
        gone = [str(path) for path in self.files if not path.exists()]
        return f"{', '.join(gone)} is gone" if gone else ""


def write_reference(folder: Path, user: User, keys: Iterable[str]) -> None:
    """Write down what a configuration needs of a cache, instead of what it needed before.

    What another process that still runs has written down for the same configuration is kept.
    """
    path = folder / REFERENCES / f"{user.digest}.json"
    before = _read(path)
    others = before is not None and before.is_running and before.process != os.getpid()
    needed = {*keys, *(before.keys if before and others else ())}
    content: dict[str, Any] = {
        "version": VERSION,
        "files": [str(file.absolute()) for file in user.files],
        "output_dir": str(user.output_dir.absolute()),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "keys": sorted(needed),
    }
    write_json(path, content)


def read_references(folder: Path) -> list[Reference]:
    """Return what is written down in a cache, in order of the files' names; a damaged file counts as none."""
    references = folder / REFERENCES
    paths = sorted(references.glob("*.json")) if references.is_dir() else []
    return [reference for path in paths if (reference := _read(path))]


def keys_needed(references: Sequence[Reference]) -> frozenset[str]:
    """Return the entries that any living configuration needs."""
    return frozenset().union(*(reference.keys for reference in references if reference.is_living))


def _read(path: Path) -> Reference | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            return None
        files = tuple(Path(file) for file in content["files"])
        keys = frozenset(content["keys"])
        return Reference(path, files, Path(content["output_dir"]), keys, content["host"], content["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
