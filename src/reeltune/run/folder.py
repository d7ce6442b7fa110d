"""The folder of a run: whose it is, where to continue, what it says of itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reeltune.errors import ConfigError, ShortageError
from reeltune.whole_files import unused_name, write_json

log = logging.getLogger(__name__)

_FINISHED = "finished.json"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder. Raises ConfigError when one is in it."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(f"another run is writing to {folder}. Wait for it, or name another output_dir=...") from error
    except OSError as error:
        raise ShortageError(f"{folder.parent} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def move_aside(folder: Path) -> None:
    """Give an earlier run's folder another name, if there is one."""
    if folder.is_dir() and any(folder.iterdir()):
        aside = folder.rename(unused_name(folder))
        log.info("starting afresh; the earlier run in %s was moved to %s", folder, aside)


def write_records(folder: Path, records: Mapping[str, dict[str, Any]]) -> None:
    """Write what a run says of itself as JSON files, each whole or not at all."""
    for name, record in records.items():
        write_json(folder / name, record)


def mark_finished(folder: Path, step: int) -> None:
    """Note that all is done up to a step, adapter files and videos included: the last thing that a run writes."""
    write_records(folder, {_FINISHED: {"step": step}})


def is_finished(folder: Path, step: int) -> bool:
    """Tell whether a run has ended with this step, and nothing is left to do for it."""
    try:
        return json.loads((folder / _FINISHED).read_text(encoding="utf-8")) == {"step": step}
    except (OSError, ValueError):
        return False
