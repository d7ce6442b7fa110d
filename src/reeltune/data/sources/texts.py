"""The text file that belongs to a clip, clip.txt beside clip.mp4: on this machine, or in another place."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from reeltune.contracts.clip import FileRef
from reeltune.data.captions import MOST_BYTES
from reeltune.data.kinds import is_media
from reeltune.data.sources.mirror import fetch_all
from reeltune.errors import DataError, UnreadableFile


def read_beside(media: Path) -> bytes | None:
    """Return the beginning of the text beside a file on this machine, all of a caption; None without one.

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
            # One byte over the longest that is a caption tells that it is none.
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{text} cannot be read: {error.strerror}; mend it or remove it") from error


class FetchedTexts:
    """The texts of a listing: what is not in it is never asked for, and all are fetched when the first is read."""

    def __init__(self, listed: Iterable[FileRef], fetch: Callable[[FileRef], Path]) -> None:
        files = list(listed)
        stems = {_stem(file) for file in files if is_media(PurePosixPath(file.name))}
        texts = (file for file in files if file.name.endswith(".txt"))
        self._texts = {_stem(file): file for file in texts if _stem(file) in stems}
        self._fetch = fetch
        self._lock, self._begun = threading.Lock(), False

    def beside(self, file: FileRef) -> bytes | None:
        """Return the text of a clip, None without one. Raises DataError where it cannot be fetched."""
        text = self._texts.get(_stem(file))
        if text is None:
            return None
        if text.size_bytes > MOST_BYTES:
            raise DataError(f"{text.origin} has {text.size_bytes} bytes, too much for a caption; shorten or remove it")
        with self._lock:
            if not self._begun:
                # Together: one after the other, a thousand texts would each wait for the network.
                usual = [text for text in self._texts.values() if text.size_bytes <= MOST_BYTES]
                fetch_all(usual, self._fetch)
                self._begun = True
        try:
            return read_beside(self._fetch(text))
        except UnreadableFile as error:
            raise DataError(f"{text.origin} cannot be read: {error.reason}") from error


def _stem(file: FileRef) -> str:
    return posixpath.splitext(file.name)[0]
