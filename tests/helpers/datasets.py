"""Datasets of every type, for tests of sources."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reeltune.config.datasets import ClipDataset, EvalDataset, ImageDataset, VideoDataset
from reeltune.contracts.source import Found

_KINDS = {"video": VideoDataset, "image": ImageDataset, "eval": EvalDataset}


def dataset_in(place: Path, *, dataset_type: str = "video", **options: Any) -> ClipDataset:
    """Return a dataset whose cache lies in a place."""
    return _KINDS[dataset_type](**{"id": "clips", "cache_dir_vae": str(place / "cache"), **options})


def names(found: Found) -> list[str]:
    return [entry.file.name for entry in found.entries]


def reasons(found: Found) -> dict[str, str]:
    """Return the reasons by what they are about: the URL, or else the path."""
    return {passed.url or str(passed.path): passed.reason for passed in found.passed}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_table(path: Path, columns: Sequence[str], *rows: Sequence[Any]) -> Path:
    """Write a .csv or .tsv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([columns, *rows])
    return path
