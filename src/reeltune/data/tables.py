"""Tables of files and captions: .csv, .tsv, .jsonl and .parquet, read row by row, so that their length costs no memory.

What is in a cell stays what it is there: the name 007 of a .csv is not made a number.
"""

from __future__ import annotations

import csv
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TextIO, runtime_checkable

from reeltune.errors import DataError

Row = dict[str, Any]


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Give the rows of a table in order, each with the columns that are asked for; None where a cell is empty.

    Raises DataError for a table that is missing, of another kind, damaged, or without one of the columns.
    """
    reader = _reader(path)
    _require(path, columns, column_names(path))
    try:
        for row in reader.rows(path, columns):
            yield {column: row.get(column) for column in columns}
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise _unreadable(path, error) from error


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns. Raises DataError where they cannot be read."""
    try:
        return tuple(_reader(path).names(path))
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise _unreadable(path, error) from error


def as_columns(column: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return what an option names as columns: none, one or several."""
    if column is None:
        return ()
    return (column,) if isinstance(column, str) else tuple(column)


def cell_text(value: Any) -> str:
    """Return a cell as text without blanks around it; empty where nothing is in it."""
    # Not a number is what a table of numbers has where a cell is empty: it is the one value unlike itself.
    return "" if value is None or value != value else str(value).strip()


def cell_texts(value: Any) -> tuple[str, ...]:
    """Return the texts in a cell, which may be a list of them; those that are empty are left out."""
    texts = map(cell_text, value) if isinstance(value, list | tuple) else [cell_text(value)]
    return tuple(filter(None, texts))


def row_texts(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the texts in some cells of a row, in the order of the columns."""
    return tuple(text for column in columns for text in cell_texts(row[column]))


def cell_name(value: Any) -> str:
    """Return the name of a file in a cell, as paths are written: ./a.mp4 is a.mp4; empty where nothing is in it."""
    name = next(iter(cell_texts(value)), "")
    return PurePosixPath(name).as_posix() if name else ""


def name_in_table(name: str, *, whole: bool) -> str:
    """Return how a table calls a file: by its whole name, or by that without its extension."""
    return name if whole else posixpath.splitext(name)[0]


@runtime_checkable
class _Reader(Protocol):
    """One kind of table."""

    def names(self, path: Path) -> Sequence[str]: ...

    def rows(self, path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]: ...


class _Delimited:
    """Rows of text, one line of names first."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def names(self, path: Path) -> Sequence[str]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return self._reader(file).fieldnames or ()

    def rows(self, path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = self._reader(file)
            try:
                for row in reader:
                    if None in row:
                        # A comma too many moves every cell behind it: what would be read is another column.
                        raise ValueError(f"line {reader.line_num} has more cells than there are columns; quote commas")
                    yield {name: value or None for name, value in row.items()}
            except csv.Error as error:
                raise ValueError(f"line {reader.line_num}: {error}") from error

    def _reader(self, file: TextIO) -> csv.DictReader[str]:
        return csv.DictReader(file, delimiter=self._delimiter)


class _JsonLines:
    """One JSON object a line; a name that a line leaves out is an empty cell."""

    def names(self, path: Path) -> Sequence[str]:
        return tuple(dict.fromkeys(name for row in self.rows(path, ()) for name in row))

    def rows(self, path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(line, number)


class _Parquet:
    """Columns read in batches of rows."""

    def names(self, path: Path) -> Sequence[str]:
        from pyarrow import parquet

        return parquet.read_schema(path).names

    def rows(self, path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        from pyarrow import parquet

        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024, columns=list(columns)):
                yield from batch.to_pylist()


_READERS: Mapping[str, _Reader] = {
    ".csv": _Delimited(","),
    ".tsv": _Delimited("\t"),
    ".jsonl": _JsonLines(),
    ".parquet": _Parquet(),
}

KINDS = tuple(_READERS)
"""How the names of tables end."""


def _reader(path: Path) -> _Reader:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is not a table that is read: {' '.join(KINDS)} are; save it as one of them")
    return reader


def _object(line: str, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not a JSON object")
    return row


def _require(path: Path, columns: Sequence[str], there: Sequence[str]) -> None:
    missing = [column for column in columns if column not in there]
    if missing:
        raise DataError(
            f"{path} has no column {' and none '.join(missing)}; its columns are {', '.join(there) or 'none at all'}"
        )


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"table {path} does not exist; write it, or name another one")
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8")
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(f"table {path} cannot be read: {why}")
