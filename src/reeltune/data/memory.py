"""What was found out about clips, remembered by name and version of the file, so that a folder is looked at once.

Only a memory: without it, or where it cannot be written, files are looked at again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.whole_files import whole_file

log = logging.getLogger(__name__)

VERSION = 3
"""Raised whenever looking at a clip changes what is found out."""


class ClipMemory:
    """Remembers what files hold. place: a JSON file, read once and written by `save`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known = _read(place)
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
        if not self._changed:
            return
        content = {"version": VERSION, "checksum": _checksum(self._known), "clips": self._known}
        try:
            with whole_file(self._place) as draft:
                # In ASCII: a file name that is not UTF-8 is kept as JSON's own escapes.
                draft.write_text(json.dumps(content) + "\n", encoding="ascii")
        except OSError as error:
            log.debug("clips will be looked at again: %s cannot be written: %s", self._place, error)


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


def _read(place: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        # A damaged file may still be JSON, and what it says of a clip would be believed.
        whole = content["version"] == VERSION and content["checksum"] == _checksum(content["clips"])
        return content["clips"] if whole else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checksum(clips: dict[str, dict[str, Any]]) -> str:
    return hashlib.blake2b(json.dumps(clips, sort_keys=True).encode(), digest_size=16).hexdigest()
