"""The rows of a dataset's table: which file each names, here or at an address, and what it says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    """One file that is named, here or at an address. number: of the first row that names it."""

    number: int
    place: FileRef | Address
    captions: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.place.name


def list_rows(dataset: ClipDataset) -> tuple[list[Listed], list[Passed]]:
    """Return the files that csv_file names, and the rows that name none with the reason; both in their order.

    Rows that name the same file each give it their captions.

    Raises DataError where the table cannot be read or has no column of paths.
    """
    table = Path(dataset.csv_file or "").expanduser()
    root = Path(dataset.instance_data_dir or table.parent).expanduser()
    files: dict[str, Listed] = {}
    passed = []
    for number, text, captions in _cells(dataset, table):
        row, place = Path(f"{table} row {number}"), _located(text, root)
        if isinstance(place, str):
            passed.append(_passed(row, text, place))
            continue
        listed = files.get(place.name)
        new = [caption for caption in captions or () if listed and caption not in (listed.captions or ())]
        if listed is None:
            files[place.name] = Listed(number, place, captions)
        elif new:
            files[place.name] = replace(listed, captions=(*(listed.captions or ()), *new))
        else:
            why = f"listed twice: row {listed.number} names {place.name} too; take one of them out"
            passed.append(Passed(row, why))
    return list(files.values()), passed


def _passed(row: Path, text: str, reason: str) -> Passed:
    """Return a row that is not offered, by what it names where it names anything."""
    named = without_access(text)
    if "://" in named:
        return Passed(row, reason, named)
    return Passed(Path(named) if named else row, reason)


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
