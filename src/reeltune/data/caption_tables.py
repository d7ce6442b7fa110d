"""Captions in a table of their own: which row belongs to which file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.datasets import TableOptions
from reeltune.data.tables import Row, as_columns, cell_name, name_in_table, read_rows, row_texts


@dataclass(frozen=True)
class CaptionTable:
    """What a table says of each file that it names. options: of the table. captions: by the name in its column."""

    options: TableOptions
    captions: Mapping[str, tuple[str, ...]]

    def of(self, name: str) -> tuple[str, ...]:
        """Return the captions of a file, by its name below the dataset's folder; none where no row is about it."""
        return self.captions.get(self._key(name), ())

    def missing(self, name: str) -> str:
        """Say where words for a file were looked for, and so where to write some."""
        options, key = self.options, self._key(name)
        if key in self.captions:
            columns = " or ".join(_columns(options))
            return f"the row {key} of {options.path} has no words; write some into its column {columns}"
        said = f"{options.path} has no row with {key} in column {options.filename_column}; add one"
        if name in self.captions:
            return f"{said}, or set identifier_includes_extension to true: a row is named {name}"
        return said

    def _key(self, name: str) -> str:
        return name_in_table(name, whole=self.options.identifier_includes_extension)


def read_caption_table(options: TableOptions) -> CaptionTable:
    """Read the captions of all files; several rows about one file give it several. Raises DataError."""
    captions: dict[str, tuple[str, ...]] = {}
    for row in read_rows(Path(options.path).expanduser(), [options.filename_column, *_columns(options)]):
        if name := cell_name(row[options.filename_column]):
            captions[name] = captions.get(name, ()) + _captions(row, options)
    return CaptionTable(options, captions)


def _columns(options: TableOptions) -> Sequence[str]:
    return [*as_columns(options.caption_column), *as_columns(options.fallback_caption_column)]


def _captions(row: Row, options: TableOptions) -> tuple[str, ...]:
    own = row_texts(row, as_columns(options.caption_column))
    return own or row_texts(row, as_columns(options.fallback_caption_column))
