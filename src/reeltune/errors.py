"""What can go wrong, for the person who must act.

Each message says what, where, why and what to type. `exit_status` is what the process ends with: 2 when the
configuration, the data or the machine was found unfit before training, 1 for anything after that. Broken invariants of
our own are assertions, not these.
"""

from __future__ import annotations

from pathlib import Path


class ReeltuneError(Exception):
    """A failure that a user can act on."""

    exit_status = 1


class ConfigError(ReeltuneError):
    """An option is unknown, out of range, or contradicts another one."""

    exit_status = 2


class DataError(ReeltuneError):
    """The clips or captions are missing, unreadable or not enough."""

    exit_status = 2


class UnreadableFile(DataError):
    """One clip or picture cannot be read. reason: why, and what would help, without the file's name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ModelError(ReeltuneError):
    """The base model cannot be found, fetched or read, or is of a kind that is not supported."""

    exit_status = 2


class ShortageError(ReeltuneError):
    """Disk space or a permission is missing, noticed before training."""

    exit_status = 2


class CacheError(ReeltuneError):
    """A cache entry is missing or damaged while training reads it."""


class CheckpointError(ReeltuneError):
    """A checkpoint cannot be written, read or continued."""


class TrainingError(ReeltuneError):
    """Training cannot go on; the last whole checkpoint is kept."""


def listed(heading: str, problems: list[str]) -> str:
    """Return one message that names every problem, so that all can be mended at once."""
    noun = "problem" if len(problems) == 1 else "problems"
    return "\n".join([f"{heading}: {len(problems)} {noun}", *(f"  {problem}" for problem in problems)])
