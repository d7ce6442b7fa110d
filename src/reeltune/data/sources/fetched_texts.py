"""Texts beside clips that lie in another place: known from its listing, and all fetched when the first is read."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from reeltune.contracts.clip import FileRef
from reeltune.data.kinds import is_media
from reeltune.data.sources.mirror import fetch_all
from reeltune.data.sources.texts import MOST_BYTES, read_beside
from reeltune.errors import DataError, UnreadableFile


class FetchedTexts:
    """The texts of a listing. What is not in it is never asked for."""

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
