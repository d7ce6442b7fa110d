"""What must be true of the machine before an hour is spent: the folders can be written, the disk has room."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from reeltune.errors import ShortageError
from reeltune.machine.host import nearest_existing

RESERVE_BYTES = 200_000_000
"""Left free for everything else that goes on."""


def require_writable(folder: Path, option: str) -> None:
    """Make sure that a folder can be made and written to, leaving nothing behind. Raises ShortageError."""
    existing = nearest_existing(folder)
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ShortageError(
            f"{folder} cannot be written: {existing}: {reason}. "
            f"Give write permission, or name another folder: {option}=..."
        ) from error


def require_room(folder: Path, size_bytes: int, what: str) -> None:
    """Make sure that the disk of a folder has room. Raises ShortageError with both numbers."""
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < size_bytes + RESERVE_BYTES:
        raise ShortageError(
            f"{what} need {_gigabytes(size_bytes)} at {folder}, and {_gigabytes(free)} are free. "
            "Make room, or name a folder on another disk."
        )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
