"""A dataset on the Hub, or a folder laid out like one: clips inside parquet files, or files with a list or texts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry, Found, Passed
from reeltune.data.captions import caption_lines
from reeltune.data.kinds import is_media, is_wanted, not_wanted
from reeltune.data.sources.columns import CAPTIONS, LISTED, MEDIA, choose_column
from reeltune.data.sources.embedded import EmbeddedClips
from reeltune.data.sources.layout import lists_of, of_split, shards_of
from reeltune.data.sources.mirror import Mirror, mirror_folder
from reeltune.data.sources.selection import by_kind, limited, pass_over, refuse_nothing
from reeltune.data.sources.texts import FetchedTexts
from reeltune.data.sources.trees import FolderTree, HubTree, Tree
from reeltune.data.tables import as_columns, cell_text, column_names, read_rows, row_texts
from reeltune.errors import DataError

Named = dict[str, tuple[str, ...]]
"""Captions by the name of the file that a table says them of."""


class HubSource:
    """The files of dataset_name at one commit."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset
        self._mirror = Mirror(mirror_folder(dataset))

    def find(self) -> Found:
        """List the split. Raises DataError where the dataset cannot be listed or has nothing of its kind."""
        found = self._embedded_found() if self._is_embedded else self._files_found()
        found = refuse_nothing(found, self._dataset, [PurePosixPath(file.name) for file in self._files])
        return limited(found, self._dataset.max_num_samples)

    def fetch(self, file: FileRef) -> Path:
        """Return the path of a clip's bytes, brought here unless they are. Raises UnreadableFile."""
        return self._embedded.fetch(file) if self._is_embedded else self._tree.fetch(file)

    def text_beside(self, file: FileRef) -> bytes | None:
        """Return clip.txt beside clip.mp4; None without one. Raises DataError where it cannot be read."""
        return None if self._is_embedded else self._texts.beside(file)

    @cached_property
    def _tree(self) -> Tree:
        name = self._dataset.dataset_name or ""
        folder = Path(name).expanduser()
        if folder.is_dir():
            return FolderTree(folder)
        return HubTree(name, self._dataset.revision, self._mirror.folder)

    @cached_property
    def _files(self) -> list[FileRef]:
        return of_split(self._all, self._dataset.split, self._tree.place)

    @cached_property
    def _all(self) -> Sequence[FileRef]:
        return self._tree.list()

    @cached_property
    def _shards(self) -> list[FileRef]:
        return shards_of(self._files)

    @cached_property
    def _is_embedded(self) -> bool:
        return bool(self._shards) and self._embedded.are_held

    @cached_property
    def _embedded(self) -> EmbeddedClips:
        return EmbeddedClips(self._dataset, self._tree, self._shards, self._mirror)

    @cached_property
    def _texts(self) -> FetchedTexts:
        return FetchedTexts(self._files, self._tree.fetch)

    def _embedded_found(self) -> Found:
        kinds = [(entry, PurePosixPath(entry.file.name)) for entry in self._embedded.entries]
        passed = [
            pass_over(entry.file, not_wanted(kind, self._dataset))
            for entry, kind in kinds
            if not is_wanted(kind, self._dataset)
        ]
        loose = [
            pass_over(file, "not in the table: the parquet files are what is read here; use it as a dataset of its own")
            for file in self._files
            if is_media(PurePosixPath(file.name))
        ]
        return Found(tuple(entry for entry, kind in kinds if is_wanted(kind, self._dataset)), (*passed, *loose))

    def _files_found(self) -> Found:
        found = by_kind(self._files, self._dataset)
        tables = self._shards or lists_of(self._files)
        if not tables:
            return Found(tuple(self._with_text(entry) for entry in found.entries), found.passed)
        named: Named = {}
        for table in tables:
            named |= self._named(table)
        return self._only_named(found, named, tables[0])

    def _named(self, table: FileRef) -> Named:
        """Return the captions that a table gives to files below its own folder, or to files below the root."""
        place, path = table.origin, self._tree.fetch(table)
        there = column_names(path)
        names = (*MEDIA["video"], *MEDIA["image"]) if self._shards else LISTED
        own = self._dataset.video_column or self._dataset.image_column
        column = choose_column(there, own, names, option="video_column", place=place)
        words: list[str] = []
        if self._dataset.caption_strategy == "huggingface":
            wanted = as_columns(self._dataset.caption_column) or (None,)
            words = [choose_column(there, each, CAPTIONS, option="caption_column", place=place) for each in wanted]
        known = {file.name for file in self._all}
        named: Named = {}
        for row in read_rows(path, [column, *words]):
            name = posixpath.normpath(cell_text(row[column]) or ".")
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(table.name), name))
            named[name if name in known and beside not in known else beside] = row_texts(row, words)
        return named

    def _only_named(self, found: Found, named: Named, table: FileRef) -> Found:
        words = self._dataset.caption_strategy == "huggingface"
        entries = (
            Entry(entry.file, named[entry.file.name] if words else None)
            for entry in found.entries
            if entry.file.name in named
        )
        unnamed = (
            pass_over(entry.file, f"not in the table: {table.origin} does not name it; add a row that does")
            for entry in found.entries
            if entry.file.name not in named
        )
        return Found(tuple(entries), (*found.passed, *unnamed, *self._missing(named, table)))

    def _missing(self, named: Iterable[str], table: FileRef) -> Iterable[Passed]:
        # Files of other splits are there, and the same table may name them.
        there = {file.name for file in self._all}
        reason = f"missing: {table.origin} names it, and no such file is there; correct the row or take it out"
        place = self._tree.place
        for name in named:
            if name not in there:
                is_far = "://" in place
                yield Passed(Path(name) if is_far else Path(place, name), reason, f"{place}/{name}" if is_far else "")

    def _with_text(self, entry: Entry) -> Entry:
        if self._dataset.caption_strategy != "huggingface":
            return entry
        text = self._texts.beside(entry.file)
        try:
            return Entry(entry.file, () if text is None else caption_lines(text, name=entry.file.origin))
        except DataError:
            # Without words it is left out, and its row says where they were looked for.
            return Entry(entry.file, ())
