"""What took long to find out, kept in files: what a commit's files are, the rows of a shard, what servers said."""

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
    try:
        kept = json.loads(_place(folder, key).read_text(encoding="utf-8"))
        return kept["content"] if kept["key"] == list(key) and kept["digest"] == _digest(kept["content"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(folder: Path, key: Sequence[str], content: Any) -> None:
    """Keep something under a key, where the folder can be written."""
    try:
        with whole_file(_place(folder, key)) as draft:
            record = {"key": list(key), "digest": _digest(content), "content": content}
            draft.write_text(json.dumps(record) + "\n", encoding="utf-8")
    except OSError as error:
        log.debug("%s will be found out again: %s cannot be written: %s", key[0], folder, error)


def _place(folder: Path, key: Sequence[str]) -> Path:
    return folder / f"{key[0]}-{_digest(list(key))}.json"


def _digest(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=10).hexdigest()
