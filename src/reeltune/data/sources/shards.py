"""Parquet files that hold clips: which rows there are, read without the clips, and the clips of one group of rows.

Only the columns of names and captions are read to list the rows. Bytes are taken out a row group at a time, when the
first of its clips is asked for, one clip after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import IOBase
from typing import Any

from reeltune.config.datasets import ClipDataset
from reeltune.data.sources.columns import CAPTIONS, MEDIA, choose_column
from reeltune.data.tables import as_columns, row_texts
from reeltune.errors import DataError

_AT_ONCE = 1024


@dataclass(frozen=True)
class Columns:
    """Which columns say what. is_held: whether the clips' bytes are in the table, rather than their paths."""

    media: str
    captions: tuple[str, ...]
    is_held: bool
    has_paths: bool


@dataclass(frozen=True)
class ShardRow:
    """One row. group, index: its row group, and its place there. path: what the table calls the clip."""

    group: int
    index: int
    path: str
    captions: tuple[str, ...]


def choose_columns(file: IOBase, dataset: ClipDataset, place: str) -> Columns:
    """Return which columns of a shard say what. Raises DataError where there is none for the clips or the captions."""
    import pyarrow
    from pyarrow import parquet

    schema = parquet.read_schema(file)
    media = _media_column(schema, dataset, place)
    kind = schema.field(media).type
    is_struct = pyarrow.types.is_struct(kind)
    held = is_struct or pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
    if not held and not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise DataError(f"{place}: column {media} holds {kind}, neither files nor their names; set {_option(dataset)}")
    fields = [field.name for field in kind] if is_struct else []
    if is_struct and "bytes" not in fields:
        raise DataError(f"{place}: column {media} holds {kind}, and no bytes; set {_option(dataset)}")
    return Columns(media, _caption_columns(schema.names, dataset, place), held, not is_struct or "path" in fields)


def list_rows(file: IOBase, columns: Columns) -> Iterator[ShardRow]:
    """Give the rows of a shard in order, without reading any clip."""
    from pyarrow import parquet

    paths = f"{columns.media}.path" if columns.is_held else columns.media
    with_paths = columns.has_paths and _has(file, paths)
    read = [*([paths] if with_paths else []), *columns.captions]
    with parquet.ParquetFile(file) as table:
        for group in range(table.num_row_groups):
            rows = _rows(table, group, read) if read else [{}] * table.metadata.row_group(group).num_rows
            for index, row in enumerate(rows):
                path = _path(row.get(columns.media)) if with_paths else ""
                yield ShardRow(group, index, path, row_texts(row, columns.captions))


def clips_of(file: IOBase, columns: Columns, group: int) -> Iterator[bytes | None]:
    """Give the bytes of each clip of a row group, one at a time; None where a row holds none."""
    from pyarrow import parquet

    column = f"{columns.media}.bytes" if _has(file, f"{columns.media}.bytes") else columns.media
    # Without both of these the whole row group is read at once, which for clips may be more than there is memory.
    with parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as table:
        for batch in table.iter_batches(batch_size=1, row_groups=[group], columns=[column]):
            cell = batch.column(0)[0].as_py()
            yield cell["bytes"] if isinstance(cell, dict) else cell


def _rows(table: Any, group: int, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for batch in table.iter_batches(batch_size=_AT_ONCE, row_groups=[group], columns=list(columns)):
        yield from batch.to_pylist()


def _has(file: IOBase, column: str) -> bool:
    from pyarrow import parquet

    return any(leaf.path == column for leaf in parquet.read_metadata(file).schema)


def _path(cell: Any) -> str:
    return str((cell.get("path") if isinstance(cell, dict) else cell) or "")


def _media_column(schema: Any, dataset: ClipDataset, place: str) -> str:
    wanted = {"video": dataset.video_column, "image": dataset.image_column}.get(dataset.dataset_type)
    if dataset.dataset_type == "eval":
        wanted = dataset.video_column or dataset.image_column
    usual = MEDIA["image"] if dataset.dataset_type == "image" else MEDIA["video"]
    if dataset.dataset_type == "eval":
        usual = tuple(dict.fromkeys((*usual, *MEDIA["image"])))
    try:
        return choose_column(schema.names, wanted, usual, option=_option(dataset), place=place)
    except DataError:
        held = [field.name for field in schema if str(field.type).startswith("struct<bytes: ")]
        if wanted is None and len(held) == 1:
            return held[0]
        raise


def _option(dataset: ClipDataset) -> str:
    return "image_column" if dataset.dataset_type == "image" else "video_column"


def _caption_columns(there: Sequence[str], dataset: ClipDataset, place: str) -> tuple[str, ...]:
    if dataset.caption_strategy != "huggingface":
        return ()
    wanted: Sequence[str | None] = as_columns(dataset.caption_column) or (None,)
    return tuple(choose_column(there, each, CAPTIONS, option="caption_column", place=place) for each in wanted)
