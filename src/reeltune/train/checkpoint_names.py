"""How the folders of checkpoints are called, for those who only look for them. No torch."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"checkpoint-(\d+)")


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps that have a checkpoint in a run folder, ascending."""
    if not folder.is_dir():
        return []
    matches = [NAME.fullmatch(entry.name) for entry in folder.iterdir() if entry.is_dir()]
    return sorted(int(match[1]) for match in matches if match)
