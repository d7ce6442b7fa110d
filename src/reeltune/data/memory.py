"""What was found out about clips, remembered by name and version of the file, so that a folder is looked at once.

Only a memory: without it, or where it cannot be written, files are looked at again.
"""

from __future__ import annotations

import base64
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.remembered import keep_at, recall_at

VERSION = 4
"""Raised whenever looking at a clip changes what is found out."""

_KEY = ("clips", str(VERSION))


class ClipMemory:
    """Remembers what files hold. place: a JSON file, read once and written by `save`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[str, dict[str, Any]] = recall_at(place, _KEY) or {}
        self._changed = False

    def recall(self, file: FileRef) -> ClipInfo | None:
        """Return what was found out about this version of a file; None where that is nothing."""
        known = self._known.get(_name(file))
        if known is None or known["stamp"] != file.stamp:
            return None
        return ClipInfo(known["width"], known["height"], _unpacked(known["times"]), known["end_s"])

    def keep(self, file: FileRef, info: ClipInfo) -> None:
        """Remember what a file holds. What cannot be read is not kept: a disk may come back, a permission be given."""
        self._known[_name(file)] = {"stamp": file.stamp, **_record(info)}
        self._changed = True

    def save(self) -> None:
        """Write what is new, whole or not at all, where the folder can be written."""
        if self._changed:
            keep_at(self._place, _KEY, self._known)


def _name(file: FileRef) -> str:
    # Not Path.resolve: it raises for a link that leads back to itself.
    return file.url or os.path.realpath(file.path)


def _record(info: ClipInfo) -> dict[str, Any]:
    return {"width": info.width, "height": info.height, "times": _packed(info.times_s), "end_s": info.end_s}


def _packed(times_s: tuple[float, ...]) -> str:
    # Every bit of every time stamp: a frame is chosen by comparing them.
    return base64.b64encode(zlib.compress(np.array(times_s, dtype="<f8").tobytes(), 1)).decode("ascii")


def _unpacked(text: str) -> tuple[float, ...]:
    return tuple(np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f8").tolist())
