"""Decoding every trained frame without encoding it, to find the files that break only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef, ManifestRow, samples_of
from reeltune.contracts.progress import Track
from reeltune.data.decode import decode
from reeltune.data.manifest import by_dataset
from reeltune.data.quarantine import Quarantine
from reeltune.data.scan import UNREADABLE
from reeltune.data.sources import open_source
from reeltune.errors import UnreadableFile


def decode_all(rows: Sequence[ManifestRow], datasets: Sequence[ClipDataset], track: Track) -> list[ManifestRow]:
    """Decode what is used and return the rows, files that break left out; they are put on their dataset's list."""
    own = by_dataset(rows)
    return [row for dataset in datasets for row in _checked(own.get(dataset.id, []), dataset, track)]


def _checked(rows: Sequence[ManifestRow], dataset: ClipDataset, track: Track) -> list[ManifestRow]:
    samples, source = samples_of(rows), open_source(dataset)
    broken: dict[FileRef, str] = {}
    for sample in track(samples, f"decoding {dataset.id}", total=len(samples), unit="clips"):
        if sample.file not in broken:
            try:
                decode(source.fetch(sample.file), sample.placement)
            except UnreadableFile as error:
                broken[sample.file] = error.reason
    _remember(broken, dataset)
    return [_without(row, broken) for row in rows]


def _remember(broken: dict[FileRef, str], dataset: ClipDataset) -> None:
    quarantine = Quarantine(Path(dataset.cache_dir_vae).expanduser())
    for file, reason in broken.items():
        quarantine.add(file, reason)
    quarantine.save()


def _without(row: ManifestRow, broken: dict[FileRef, str]) -> ManifestRow:
    if row.sample is None or row.sample.file not in broken:
        return row
    return replace(row, sample=None, reason=f"{UNREADABLE}: {broken[row.sample.file]}")
