"""What must be true of the machine before an hour is spent: the folders can be written, the disk has room."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.filesize import decimal

from reeltune.errors import ShortageError
from reeltune.machine.host import free_bytes, nearest_existing

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
    free = free_bytes(folder)
    if free < size_bytes + RESERVE_BYTES:
        raise ShortageError(
            f"{decimal(size_bytes)} are needed at {folder} for {what}, and {decimal(free)} are free. "
            "Make room, or name a folder on another disk."
        )
