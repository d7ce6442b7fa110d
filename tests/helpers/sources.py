"""A source that offers what a test hands it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry, Found, Passed
from reeltune.errors import DataError, UnreadableFile


@dataclass
class Handed:
    """Files, texts by the name of the clip, and names that are gone when they are fetched."""

    entries: tuple[Entry, ...] = ()
    passed: tuple[Passed, ...] = ()
    texts: Mapping[str, bytes | DataError] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    def find(self) -> Found:
        return Found(self.entries, self.passed)

    def fetch(self, file: FileRef) -> Path:
        if file.name in self.gone:
            raise UnreadableFile(file.path, "it is gone")
        return file.path

    def text_beside(self, file: FileRef) -> bytes | None:
        text = self.texts.get(file.name)
        if isinstance(text, DataError):
            raise text
        return text


def entry(name: str, *, captions: tuple[str, ...] | None = None, url: str = "") -> Entry:
    """Return a file by its name, which is not there."""
    return Entry(FileRef(Path("d") / name, 1, 1, url=url, name=url or name), captions)


def folder_source(folder: Path) -> Handed:
    """Return the mp4 files of a folder, with the texts beside them."""
    clips = sorted(folder.glob("*.mp4"))
    files = [FileRef(path, (status := path.stat()).st_size, status.st_mtime_ns, name=path.name) for path in clips]
    texts = {path.name: text.read_bytes() for path in clips if (text := path.with_suffix(".txt")).exists()}
    return Handed(tuple(map(Entry, files)), texts=texts)
