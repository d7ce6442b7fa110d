"""The checkpoints of a run folder by the names of their folders, for all who look for them. No torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from reeltune.errors import ConfigError

_NAME = re.compile(r"checkpoint-(\d+)")

BEST = "best"
"""The folder of the checkpoint with the lowest held-out loss, beside the others."""


def name_of(step: int) -> str:
    """Return what the folder of a step's checkpoint is called."""
    return f"checkpoint-{step}"


def steps_in(folder: Path) -> list[int]:
    """Return the steps that have a checkpoint in a run folder, ascending; hidden and renamed ones do not count."""
    if not folder.is_dir():
        return []
    matches = [_NAME.fullmatch(entry.name) for entry in folder.iterdir() if entry.is_dir()]
    return sorted(int(match[1]) for match in matches if match)


def best_step(folder: Path) -> int | None:
    """Return the step of a run folder's best checkpoint; None when there is none that can be read."""
    try:
        return int(json.loads((folder / BEST / "state.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def place_of(folder: Path, step: int) -> Path:
    """Return the folder of a step's checkpoint: the best one's where it is the only one of its step."""
    own = folder / name_of(step)
    return folder / BEST if not own.is_dir() and best_step(folder) == step else own


def record_of(folder: Path, step: int, name: str) -> dict[str, Any]:
    """Return one of a checkpoint's records, such as config.json; empty when it has none of that name."""
    path = place_of(folder, step) / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def choose_step(folder: Path, wanted: str) -> int | None:
    """Return the step to continue from: `latest` (None when there is none; the best one is one of them), or the name or
    path of one, or of `best`.

    Raises ConfigError, listing those that exist, for a name that is not here.
    """
    steps = steps_in(folder)
    if wanted == "latest":
        there = [*steps, *filter(None, [best_step(folder)])]
        return max(there) if there else None
    path = Path(wanted).expanduser()
    match, best = _NAME.fullmatch(path.name), best_step(folder)
    elsewhere = path.parent != Path() and path.parent.resolve() != folder.resolve()
    if path.name == BEST and not elsewhere and best is not None:
        return best
    if match is None or elsewhere or int(match[1]) not in steps:
        known = ", ".join([*map(name_of, steps), *[BEST] * (best is not None)]) or "none"
        raise ConfigError(
            f"resume_from_checkpoint: {wanted} is not a checkpoint of {folder}; there: {known}. Or say latest."
        )
    return int(match[1])
