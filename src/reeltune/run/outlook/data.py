"""The data in the outlook: what becomes of each folder, and the shapes that are trained."""

from __future__ import annotations

from collections.abc import Sequence

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import ManifestRow, samples_of
from reeltune.contracts.outlook import BucketOutlook, DatasetOutlook, LeftOut
from reeltune.data.manifest import by_dataset, files_of, left_out_by_kind, rate_notes, used_files
from reeltune.run.outlook.basis import Basis
from reeltune.run.rules import rules_of


def dataset_outlooks(basis: Basis) -> tuple[DatasetOutlook, ...]:
    """Return what becomes of each folder that is looked at, trained ones first; of one that is split, in two parts."""
    trained, held_out = by_dataset(basis.manifest.trained), by_dataset(basis.manifest.held_out)
    return (
        *(_outlook(dataset, trained.get(dataset.id, []), basis, held_out=False) for dataset in basis.datasets.trained),
        *(_outlook(dataset, held_out[dataset.id], basis, held_out=True) for dataset in basis.measured),
    )


def bucket_outlooks(basis: Basis) -> tuple[BucketOutlook, ...]:
    """Return the shapes that are trained, those with most samples first."""
    return tuple(
        BucketOutlook(bucket.width, bucket.height, bucket.frames, count, basis.batches(bucket), basis.tokens(bucket))
        for bucket, count in sorted(basis.samples.items(), key=lambda item: (-item[1], item[0]))
    )


def _outlook(dataset: ClipDataset, rows: Sequence[ManifestRow], basis: Basis, *, held_out: bool) -> DatasetOutlook:
    samples = samples_of(rows)
    return DatasetOutlook(
        id=dataset.id,
        folder=dataset.place,
        held_out=held_out,
        found=len(files_of(rows)),
        used=used_files(rows),
        windows=len(samples),
        repeats=dataset.times - 1,
        # The windows of a clip share its captions.
        captions=sum(len(sample.captions) for sample in samples if sample.window == 0),
        left_out=tuple(_left_out(kind, group) for kind, group in left_out_by_kind(rows).items()),
        rates=tuple(rate_notes(rows, rules_of(dataset, basis.config, basis.facts))),
    )


def _left_out(kind: str, rows: Sequence[ManifestRow]) -> LeftOut:
    return LeftOut(len(rows), kind, f"{rows[0].path.name}: {rows[0].why}")
