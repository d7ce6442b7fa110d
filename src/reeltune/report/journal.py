"""Every event of a run as a line of JSON in `events.jsonl`: the log that programs read.

JSON has no word for numbers that are not finite, and null would hide which one it was: they are the strings "nan",
"inf" and "-inf", which Python's `float` reads.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from io import RawIOBase
from pathlib import Path
from typing import Any

from reeltune.contracts.events import Event


class Journal:
    """Appends to the file and lets each line reach the disk's cache at once; a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def receive(self, event: Event) -> None:
        record = {"event": type(event).__name__, **asdict(event)}
        line = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False) + "\n"
        # Unbuffered: a line is one write at the end of the file, so that a reader never meets half of one.
        with self._path.open("a+b", buffering=0) as file:
            file.write(b"\n" * _is_cut_short(file) + line.encode())

    def close(self) -> None:
        """Do nothing: between events no file is open."""


def _is_cut_short(file: RawIOBase) -> bool:
    """Tell whether the last line has no end, as after a full disk or a power cut: it must not swallow the next."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case Path():
            return str(value)
    return value
