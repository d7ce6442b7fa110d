"""The rows of a dataset's table: which file each names, here or at an address, and what it says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Passed
from reeltune.data.sources.addresses import Address, read_address, without_access
from reeltune.data.sources.columns import PATHS, choose_column
from reeltune.data.sources.local import file_ref
from reeltune.data.tables import as_columns, cell_text, column_names, read_rows, row_texts

SCHEMES = ("http", "https", "s3")
"""How addresses may begin."""

Cell = tuple[int, str, tuple[str, ...] | None]
"""The number of a row, what it names, and its captions."""


@dataclass(frozen=True)
class Listed:
    """One row that names a file: here, or at an address."""

    number: int
    place: FileRef | Address
    captions: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.place.name


def list_rows(dataset: ClipDataset) -> tuple[list[Listed], list[Passed]]:
    """Return the rows of csv_file that name a file, and those that do not with the reason; both in their order.

    Raises DataError where the table cannot be read or has no column of paths.
    """
    table = Path(dataset.csv_file or "").expanduser()
    root = Path(dataset.instance_data_dir or table.parent).expanduser()
    rows: dict[str, Listed] = {}
    passed = []
    for number, text, captions in _cells(dataset, table):
        place = _located(text, root)
        if isinstance(place, str):
            passed.append(Passed(Path(without_access(text) or f"{table} row {number}"), place))
        elif place.name in rows:
            first = rows[place.name].number
            why = f"listed twice: row {number} names what row {first} does; take one of them out"
            passed.append(Passed(Path(place.name), why, place.name if isinstance(place, Address) else ""))
        else:
            rows[place.name] = Listed(number, place, captions)
    return list(rows.values()), passed


def _cells(dataset: ClipDataset, table: Path) -> Iterator[Cell]:
    there, place = column_names(table), f"table {table}"
    path = choose_column(there, dataset.csv_path_column, PATHS, option="csv_path_column", place=place)
    words = as_columns(dataset.csv_caption_column) if dataset.caption_strategy == "csv" else ()
    for word in words:
        choose_column(there, word, (), option="csv_caption_column", place=place)
    for number, row in enumerate(read_rows(table, [path, *words]), 1):
        yield number, cell_text(row[path]), row_texts(row, words) if words else None


def _located(text: str, root: Path) -> FileRef | Address | str:
    """Return what a cell names, or why it is not read."""
    if not text:
        return "no path: its cell is empty; fill it or take the row out"
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _inside(text, root)
    if scheme.lower() not in SCHEMES:
        return f"not read: addresses of {scheme}:// are not; those of {' '.join(SCHEMES)} are"
    try:
        return read_address(text)
    except ValueError:
        return "not read: it is no address of a file on a server; correct it"


def _inside(text: str, folder: Path) -> FileRef | str:
    root = os.path.abspath(folder)
    path = os.path.abspath(os.path.join(root, text))
    if os.path.commonpath([root, path]) != root or "\0" in text:
        return f"not read: it leads out of {folder}; move the file there, or set instance_data_dir to its folder"
    if path == root or not os.path.lexists(path):
        return f"missing: no such file in {folder}; put it there, correct the row or take it out"
    return file_ref(folder / os.path.relpath(path, root), folder)
