"""The text file that belongs to a clip: clip.txt beside clip.mp4."""

from __future__ import annotations

from pathlib import Path

from reeltune.errors import DataError

MOST_BYTES = 2**20 + 1
"""No more of a text is read: one byte over the longest that is a caption tells that it is none."""


def read_beside(media: Path) -> bytes | None:
    """Return the first mebibyte of the text beside a file on this machine; None without one.

    Raises DataError where it is there and cannot be read.
    """
    text = media.with_suffix(".txt")
    try:
        if not text.exists():
            return None
        if not text.is_file():
            # Opening a pipe would wait for whoever writes into it.
            raise DataError(f"{text} is no regular file; put a text file there or remove it")
        with text.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror}; mend it or remove it") from error
