"""Decoding every trained frame without encoding it, to find the files that break only then."""

from __future__ import annotations

from collections.abc import Sequence

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef, ManifestRow, samples_of
from reeltune.contracts.progress import Track
from reeltune.data.decode import decode
from reeltune.data.manifest import by_dataset
from reeltune.data.sources import open_source
from reeltune.errors import UnreadableFile
from reeltune.run.broken import remember_broken, without_broken


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
    remember_broken(broken, dataset.cache_folder)
    reasons = {file.origin: reason for file, reason in broken.items()}
    return [without_broken(row, reasons) for row in rows]
