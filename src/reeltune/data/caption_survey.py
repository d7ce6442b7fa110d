"""What captions a dataset has, before any clip is opened: found, missing, several, changed, texts without a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.datasets import CaptionStrategy, ClipDataset
from reeltune.contracts.source import Found, Source
from reeltune.data.caption_filters import Filters
from reeltune.data.captions import CaptionReader, Words
from reeltune.data.sources.local import list_files


@dataclass(frozen=True)
class Survey:
    """The captions of one dataset. words: of each file, by what a person would open. unused: texts without a clip."""

    dataset_id: str
    strategy: CaptionStrategy
    words: Mapping[str, Words]
    unused: tuple[Path, ...]

    @property
    def missing(self) -> Mapping[str, str]:
        """Return the files without a caption, and why."""
        return {origin: words.reason for origin, words in self.words.items() if words.reason}

    @property
    def several(self) -> int:
        """Count the files with more than one caption."""
        return sum(len(words.captions) > 1 for words in self.words.values())

    @property
    def changed(self) -> int:
        """Count the files whose captions the filters changed."""
        return sum(words.changed for words in self.words.values())

    @property
    def captions(self) -> list[tuple[str, str]]:
        """Return each caption behind the file that it is of."""
        return [(origin, caption) for origin, words in self.words.items() for caption in words.captions]


def survey(dataset: ClipDataset, source: Source, *, filters: Filters) -> Survey:
    """Read the captions of all files. Raises DataError where the files cannot be listed."""
    found = source.find()
    reader = CaptionReader(dataset, source, filters=filters)
    words = {entry.file.origin: reader.read(entry) for entry in found.entries}
    is_beside = reader.strategy == "textfile" and dataset.type == "local"
    unused = _unused_texts(Path(dataset.place).expanduser(), found) if is_beside else ()
    return Survey(dataset.id, reader.strategy, words, unused)


def _unused_texts(folder: Path, found: Found) -> tuple[Path, ...]:
    clips = {path.with_suffix("") for path in (*(e.file.path for e in found.entries), *(p.path for p in found.passed))}
    texts = (path for path in list_files(folder, lambda _: None) if path.suffix == ".txt")
    return tuple(text for text in texts if text.with_suffix("") not in clips)
