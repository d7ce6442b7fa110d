"""The rows of a manifest for files and programs: one record for each file and window, always with the same keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reeltune.config.datasets import ClipDataset, TrainedDataset
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.whole_files import whole_file

Record = dict[str, Any]


def manifest_records(rows: Sequence[ManifestRow], datasets: Sequence[ClipDataset]) -> list[Record]:
    """Return a record for each row, in their order. datasets: that the rows belong to."""
    known = {dataset.id: dataset for dataset in datasets}
    return [_record(row, known.get(row.dataset_id)) for row in rows]


def write_manifest(rows: Sequence[ManifestRow], path: Path, *, datasets: Sequence[ClipDataset]) -> None:
    """Write one JSON object for each row, whole or not at all."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in manifest_records(rows, datasets)]
    # A file name that is not UTF-8 holds lone surrogates; backslashreplace writes them as JSON's own escapes.
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(lines)


def write_manifest_table(rows: Sequence[ManifestRow], path: Path, *, datasets: Sequence[ClipDataset]) -> None:
    """Write the same records as a Parquet file, whole or not at all."""
    import pyarrow as arrow
    from pyarrow import parquet

    records = [_encodable(record) for record in manifest_records(rows, datasets)]
    with whole_file(path) as draft:
        parquet.write_table(arrow.Table.from_pylist(records, schema=_schema()), draft)


def _record(row: ManifestRow, dataset: ClipDataset | None) -> Record:
    sample = row.sample
    # What is held out is measured, never drawn.
    trained = dataset if isinstance(dataset, TrainedDataset) and not row.held_out else None
    return {
        "dataset": row.dataset_id,
        "origin": row.origin,
        "path": str(row.path),
        "used": sample is not None,
        "held_out": row.held_out,
        "reason": row.reason,
        "bucket": str(sample.placement.bucket) if sample else None,
        "window": sample.window if sample else None,
        "windows": sample.windows if sample else None,
        **(_placed(sample) if sample else dict.fromkeys(_PLACED)),
        "captions": list(sample.captions) if sample else [],
        "mask": sample.mask.file.origin if sample and sample.mask else None,
        "repeats": trained.repeats if trained else None,
        "probability": trained.probability if trained else None,
    }


_PLACED: Mapping[str, Mapping[str, type]] = {
    "frames": {"first": int, "last": int, "count": int},
    "seconds": {"from": float, "to": float},
    "source": {"width": int, "height": int, "frames": int, "fps": float, "seconds": float},
    "resize": {"width": int, "height": int},
    "crop": {"left": int, "top": int, "width": int, "height": int},
    "crop_in_source": {"left": float, "top": float, "width": float, "height": float},
}
"""What is said of a window that is used. frames: positions in the source. seconds: of the source, from its first frame
to the end of its last. crop: in pixels after the resize; crop_in_source: in pixels of the source as it is shown."""


def _placed(sample: Sample) -> Record:
    info, placement = sample.info, sample.placement
    indices, bucket = placement.frame_indices, placement.bucket
    values = {
        "frames": (indices[0], indices[-1], len(indices)),
        "seconds": tuple(round(second, 3) for second in sample.span_s),
        "source": (info.width, info.height, info.frames, round(info.fps, 3), round(info.end_s, 3)),
        "resize": (placement.resize_width, placement.resize_height),
        "crop": (placement.crop_left, placement.crop_top, bucket.width, bucket.height),
        "crop_in_source": tuple(round(side, 1) for side in sample.crop_in_source),
    }
    return {name: dict(zip(_PLACED[name], values[name], strict=True)) for name in _PLACED}


def _schema() -> Any:
    import pyarrow as arrow

    types = {int: arrow.int64(), float: arrow.float64()}
    texts = ("dataset", "origin", "path")
    return arrow.schema(
        {
            **dict.fromkeys(texts, arrow.string()),
            "used": arrow.bool_(),
            "held_out": arrow.bool_(),
            "reason": arrow.string(),
            "bucket": arrow.string(),
            "window": arrow.int64(),
            "windows": arrow.int64(),
            **{
                name: arrow.struct({part: types[kind] for part, kind in parts.items()})
                for name, parts in _PLACED.items()
            },
            "captions": arrow.list_(arrow.string()),
            "mask": arrow.string(),
            "repeats": arrow.int64(),
            "probability": arrow.float64(),
        }
    )


def _encodable(value: Any) -> Any:
    """Return a record whose texts are UTF-8: what a file name holds beside it becomes an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value
