"""The table of what is trained and what was left out, and why: for people, for a file, and as the last check."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reeltune.config.datasets import VideoOptions
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.data.frames import source_seconds, training_rate
from reeltune.errors import DataError
from reeltune.whole_files import whole_file


def require_usable(rows: Sequence[ManifestRow]) -> None:
    """Raise DataError with a table of the reasons when not one clip can be trained."""
    if any(row.sample for row in rows):
        return
    # A reason opens with its kind and a colon.
    kinds = Counter(row.reason.partition(":")[0] for row in rows).most_common()
    table = [f"  {count:5}  {kind}" for kind, count in kinds]
    raise DataError("\n".join([f"no clip can be trained: all {len(rows)} were left out", *table, *_left_out(rows, 10)]))


def summary(rows: Sequence[ManifestRow]) -> list[str]:
    """Return lines that say what is trained at which size, and what was left out."""
    buckets = Counter(row.sample.placement.bucket for row in rows if row.sample)
    used = buckets.total()
    noun = "bucket" if len(buckets) == 1 else "buckets"
    return [
        f"{_clips(len(rows))}: {used} used in {len(buckets)} {noun}, {len(rows) - used} left out",
        *(f"  {bucket}: {_clips(count)}" for bucket, count in sorted(buckets.items())),
        *_left_out(rows, 20),
    ]


def rate_notes(rows: Sequence[ManifestRow], video: VideoOptions, *, model_fps: float) -> list[str]:
    """Return one line for each way in which used clips are brought to their training rate, most frequent first."""
    notes = Counter(_rate_note(row.sample, video, model_fps=model_fps) for row in rows if row.sample).most_common()
    more = [f"... and {len(notes) - 10} other rates"] if len(notes) > 10 else []
    return [*(f"{_clips(count)}: {note}" for note, count in notes[:10]), *more]


def write_manifest(rows: Sequence[ManifestRow], path: Path) -> None:
    """Write one JSON object per file, whole or not at all."""
    lines = [json.dumps(_record(row), ensure_ascii=False) + "\n" for row in rows]
    # A file name that is not UTF-8 holds lone surrogates; backslashreplace writes them as JSON's own escapes.
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(lines)


def _record(row: ManifestRow) -> dict[str, Any]:
    sample = row.sample
    return {
        "path": str(row.path),
        "used": sample is not None,
        "reason": row.reason,
        "bucket": str(sample.placement.bucket) if sample else None,
        "frames": _frames(sample.placement.frame_indices) if sample else None,
        "source": _source(sample) if sample else None,
        "captions": list(sample.captions) if sample else [],
    }


def _frames(indices: tuple[int, ...]) -> dict[str, int]:
    return {"first": indices[0], "last": indices[-1], "count": len(indices)}


def _source(sample: Sample) -> dict[str, int | float]:
    info = sample.info
    return {"width": info.width, "height": info.height, "frames": info.frames, "fps": round(info.fps, 3)}


def _rate_note(sample: Sample, video: VideoOptions, *, model_fps: float) -> str:
    rate = training_rate(sample.info, setting=video.fps, model_fps=model_fps)
    count = sample.placement.bucket.frames
    return f"{rate.note}: {count} frames = {source_seconds(sample.info, rate, num_frames=count):.2f} s of source"


def _left_out(rows: Sequence[ManifestRow], most: int) -> list[str]:
    lines = [f"  left out {row.path}: {row.reason}" for row in rows if row.sample is None]
    return [*lines[:most], f"  ... and {len(lines) - most} more left out"] if len(lines) > most else lines


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
