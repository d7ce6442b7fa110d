"""What took long to find out, kept in JSON files: only memories, without which it is found out again.

What is damaged, or was kept under another key, is not believed; what cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reeltune.whole_files import whole_file

log = logging.getLogger(__name__)


def remembered(folder: Path, key: Sequence[str], find_out: Callable[[], Any]) -> Any:
    """Return what is kept under a key, else what is found out, which is kept then. It must be plain JSON."""
    kept = recall(folder, key)
    if kept is not None:
        return kept
    found = find_out()
    keep(folder, key, found)
    return found


def recall(folder: Path, key: Sequence[str]) -> Any:
    """Return what is kept under a key; None where nothing is, or where it is damaged."""
    return recall_at(_place(folder, key), key)


def keep(folder: Path, key: Sequence[str], content: Any) -> None:
    """Keep something under a key, where the folder can be written."""
    keep_at(_place(folder, key), key, content)


def recall_at(place: Path, key: Sequence[str]) -> Any:
    """Return what one file keeps; None where that is nothing, damaged, or was kept under another key."""
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        return kept["content"] if kept["key"] == list(key) and kept["digest"] == _digest(kept["content"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_at(place: Path, key: Sequence[str], content: Any) -> None:
    """Keep something in one file, whole or not at all, where it can be written. key: what it is, and which version."""
    try:
        with whole_file(place) as draft:
            record = {"key": list(key), "digest": _digest(content), "content": content}
            # In ASCII: a file name that is not UTF-8 is kept as JSON's own escapes.
            draft.write_text(json.dumps(record) + "\n", encoding="ascii")
    except OSError as error:
        log.debug("%s will be found out again: %s cannot be written: %s", key[0], place, error)


def _place(folder: Path, key: Sequence[str]) -> Path:
    return folder / f"{key[0]}-{_digest(list(key))}.json"


def _digest(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=10).hexdigest()
