"""The same rows come out of every kind of table, and what is damaged says where."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from reeltune.data.tables import KINDS, as_columns, cell_text, cell_texts, column_names, read_rows
from reeltune.errors import DataError

ROWS = [
    {"id": "007", "caption": 'a "red", ball\nrolls', "more": "x"},
    {"id": "ä", "caption": None, "more": "y"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8-sig")
        case ".parquet":
            parquet.write_table(arrow.Table.from_pylist(rows), path)
        case suffix:
            with path.open("w", encoding="utf-8-sig", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"T{kind}", ROWS)
    assert column_names(path) == ("id", "caption", "more")
    assert list(read_rows(path, ["caption", "id"])) == [{key: row[key] for key in ("caption", "id")} for row in ROWS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"t{kind}", ROWS)
    with pytest.raises(DataError, match=r"has no column words; its columns are id, caption, more"):
        list(read_rows(path, ["id", "words"]))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.csv", None, "does not exist"),
        ("t.xlsx", b"", r"is not a table that is read: \.csv \.tsv"),
        ("t.csv", b"id,a\n\xff,b\n", "is not UTF-8"),
        ("t.csv", b"id,a\nx,y\nx,one, two\n", "line 3 has more cells"),
        ("t.csv", b"", "has no column id.*none at all"),
        ("t.jsonl", b'{"id": 1}\n{"id": ', "line 2 is not JSON"),
        ("t.jsonl", b'{"id": 1}\n[1]\n', "line 2 is not a JSON object"),
        ("t.parquet", b"PAR1 nonsense", "cannot be read"),
    ],
)
def test_a_damaged_table_says_where(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=why):
        list(read_rows(tmp_path / name, ["id"]))


def test_a_parquet_file_cut_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", ROWS * 100)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(path, ["id"]))


def test_cells_as_text() -> None:
    assert [cell_text(value) for value in (None, float("nan"), " a ", 7, 1.5)] == ["", "", "a", "7", "1.5"]
    assert cell_texts(["a", None, " b "]) == ("a", "b")
    assert cell_texts(None) == ()
    assert (as_columns(None), as_columns("a"), as_columns(("a", "b"))) == ((), ("a",), ("a", "b"))
