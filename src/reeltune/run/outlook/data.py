"""The data in the outlook: what becomes of each folder, and the shapes that are trained."""

from __future__ import annotations

from collections.abc import Sequence

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import ManifestRow, samples_of
from reeltune.contracts.outlook import BucketOutlook, DatasetOutlook, LeftOut
from reeltune.data.manifest import rate_notes
from reeltune.run.outlook.basis import Basis


def dataset_outlooks(basis: Basis) -> tuple[DatasetOutlook, ...]:
    """Return what becomes of each folder that is looked at, trained ones first."""
    return tuple(
        _outlook(dataset, [row for row in basis.manifest.rows if row.dataset_id == dataset.id], basis)
        for dataset in basis.used_datasets
    )


def bucket_outlooks(basis: Basis) -> tuple[BucketOutlook, ...]:
    """Return the shapes that are trained, those with most samples first."""
    return tuple(
        BucketOutlook(bucket.width, bucket.height, bucket.frames, count, basis.batches(bucket), basis.tokens(bucket))
        for bucket, count in sorted(basis.samples.items(), key=lambda item: (-item[1], item[0]))
    )


def _outlook(dataset: ClipDataset, rows: Sequence[ManifestRow], basis: Basis) -> DatasetOutlook:
    samples = samples_of(rows)
    return DatasetOutlook(
        id=dataset.id,
        folder=dataset.place,
        held_out=dataset in basis.measured,
        found=len(rows),
        used=len(samples),
        repeats=dataset.times - 1,
        captions=sum(len(sample.captions) for sample in samples),
        left_out=_left_out(rows),
        rates=tuple(rate_notes(rows, dataset.video, model_fps=basis.facts.fps)),
    )


def _left_out(rows: Sequence[ManifestRow]) -> tuple[LeftOut, ...]:
    """Group the files that are left out by the opening of their reason, which is its kind; most frequent first."""
    kinds: dict[str, list[ManifestRow]] = {}
    for row in rows:
        if row.sample is None:
            kinds.setdefault(row.reason.partition(":")[0], []).append(row)
    groups = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return tuple(LeftOut(len(group), kind, _example(group[0])) for kind, group in groups)


def _example(row: ManifestRow) -> str:
    return f"{row.path.name}: {row.reason.partition(': ')[2] or row.reason}"
