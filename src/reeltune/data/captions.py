"""Where the words of a clip come from, and why it has none: one function for each caption_strategy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from reeltune.config.datasets import CaptionStrategy, ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry, Source
from reeltune.data.caption_filters import Filters
from reeltune.data.caption_tables import CaptionTable, read_caption_table
from reeltune.errors import DataError

MOST_BYTES = 2**20
"""A larger file beside a clip is no caption: a model reads the first few hundred words."""


@dataclass(frozen=True)
class Words:
    """The captions of one clip. reason: why there are none, and where to write one. changed: filters changed some."""

    captions: tuple[str, ...]
    reason: str = ""
    changed: bool = False


class CaptionReader:
    """Reads the captions of one dataset. filters: applied to what is said of clips, not to instance_prompt."""

    def __init__(self, dataset: ClipDataset, source: Source, *, filters: Filters) -> None:
        self.dataset, self.source, self._filters = dataset, source, filters
        only = dataset.only_instance_prompt
        self.strategy: CaptionStrategy = "instanceprompt" if only else dataset.caption_strategy

    def read(self, entry: Entry) -> Words:
        """Return the captions of one clip, or why it has none. Raises DataError where the whole table is unreadable."""
        table_or_nothing = self.table if self.strategy == "parquet" else None
        try:
            found = _without_blanks(_STRATEGIES[self.strategy](self, entry))
        except DataError as error:
            return Words((), str(error))
        if not found:
            return Words((), _missing(self, entry, table_or_nothing))
        return Words(found) if self.strategy == "instanceprompt" else self._finished(found)

    @cached_property
    def table(self) -> CaptionTable:
        """Return the table of caption_strategy parquet."""
        if self.dataset.parquet is None:
            raise DataError(f"dataset {self.dataset.id}: caption_strategy parquet needs the table's `parquet`")
        return read_caption_table(self.dataset.parquet)

    def _finished(self, found: tuple[str, ...]) -> Words:
        kept = _without_blanks([self._filters.apply(caption) for caption in found])
        if not kept:
            return Words((), "caption_filter_list takes out every word; change the caption or the list", changed=True)
        prompt = (self.dataset.instance_prompt or "").strip() if self.dataset.prepend_instance_prompt else ""
        captions = tuple(f"{prompt} {caption}" for caption in kept) if prompt else kept
        return Words(captions, changed=kept != found)


def caption_lines(content: bytes, *, name: str) -> tuple[str, ...]:
    """Return the captions in a text file, one in each line. name: the file's, for messages.

    Raises DataError for what is not UTF-8, no text, or far too long.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"{name} is larger than 1 MiB, too much for a caption; shorten it, or move it away")
    try:
        # utf-8-sig takes the mark that some editors put in front of UTF-8, and plain UTF-8 as well.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8 in a text editor") from error
    if "\0" in text:
        raise DataError(f"{name} holds bytes that are no text; write the caption into it in a text editor")
    return _without_blanks(text.split("\n"))


def caption_file(file: FileRef) -> str:
    """Return where the text file of a clip is or would be, as a person would look for it: clip.txt for clip.mp4."""
    return os.path.splitext(file.origin)[0] + ".txt"


def _beside(reader: CaptionReader, entry: Entry) -> Sequence[str]:
    content = reader.source.text_beside(entry.file)
    return () if content is None else caption_lines(content, name=caption_file(entry.file))


def _from_name(reader: CaptionReader, entry: Entry) -> Sequence[str]:
    return [PurePosixPath(_name(entry.file)).stem.replace("_", " ")]


def _one_for_all(reader: CaptionReader, entry: Entry) -> Sequence[str]:
    return [reader.dataset.instance_prompt or ""]


def _from_table(reader: CaptionReader, entry: Entry) -> Sequence[str]:
    return reader.table.of(_name(entry.file))


def _of_the_source(reader: CaptionReader, entry: Entry) -> Sequence[str]:
    return entry.captions or ()


_STRATEGIES: Mapping[CaptionStrategy, Callable[[CaptionReader, Entry], Sequence[str]]] = {
    "textfile": _beside,
    "filename": _from_name,
    "instanceprompt": _one_for_all,
    "parquet": _from_table,
    "csv": _of_the_source,
    "huggingface": _of_the_source,
}

_ADVICE: Mapping[CaptionStrategy, str] = {
    "textfile": "write one into {text}, which is missing or empty",
    "filename": "the name {name} has no words; rename the file",
    "instanceprompt": "set instance_prompt in the dataset {id}",
    "csv": "write one into its row of {place}",
    "huggingface": "its row of {place} has no words; name another caption_column or caption_strategy",
}


def _missing(reader: CaptionReader, entry: Entry, table: CaptionTable | None) -> str:
    if table:
        return table.missing(_name(entry.file))
    name = PurePosixPath(_name(entry.file)).name
    dataset = reader.dataset
    return _ADVICE[reader.strategy].format(text=caption_file(entry.file), name=name, id=dataset.id, place=dataset.place)


def _name(file: FileRef) -> str:
    """Return the name of a file as words and tables have it: without an address's own marks."""
    name = file.name or file.path.name
    return unquote(urlsplit(name).path) if "://" in name else name


def _without_blanks(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(stripped for line in lines if (stripped := line.strip()))
