"""The folder of a run: opened, moved aside for a fresh start, or found finished."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

from reeltune.config.reporting import ReportingOptions
from reeltune.train.checkpoint import Checkpoints

log = logging.getLogger(__name__)


def choose_start(options: ReportingOptions) -> int | None:
    """Return the step of the checkpoint to continue from; None starts afresh, an earlier run then being moved aside."""
    folder = Path(options.output_dir).expanduser()
    checkpoints = Checkpoints(folder, options.checkpoints_total_limit)
    if options.resume_from_checkpoint:
        return checkpoints.choose(options.resume_from_checkpoint)
    if checkpoints.steps():
        log.info("starting afresh; the run in %s was moved to %s", folder, _move_aside(folder))
    return None


def write_records(folder: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write the options and the plan of a run as JSON files, for people and for later."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, record in records.items():
        (folder / name).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _move_aside(folder: Path) -> Path:
    names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
    return folder.rename(next(name for name in names if not name.exists()))
