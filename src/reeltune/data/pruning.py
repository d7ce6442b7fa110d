"""Leaving out buckets that cannot fill one micro-batch, where the run is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reeltune.contracts.clip import Bucket, ManifestRow, Sample, samples_of


def without_small_buckets(
    rows: Sequence[ManifestRow], *, batch_size: int, times: Mapping[str, int]
) -> list[ManifestRow]:
    """Return the rows with the clips of every bucket that gives fewer than `batch_size` samples a pass left out.

    Each dataset has buckets of its own, for a batch never mixes two. times: how often a pass over a dataset shows each
    of its clips.
    """
    counts: Counter = Counter()
    for sample in samples_of(rows):
        counts[_bucket_of(sample)] += times[sample.dataset_id]
    return [_kept(row, counts, batch_size) for row in rows]


def _bucket_of(sample: Sample) -> tuple[str, Bucket]:
    return sample.dataset_id, sample.placement.bucket


def _kept(row: ManifestRow, counts: Counter, batch_size: int) -> ManifestRow:
    if row.sample is None or counts[_bucket_of(row.sample)] >= batch_size:
        return row
    dataset, bucket = _bucket_of(row.sample)
    reason = (
        f"bucket pruned: {bucket} has {counts[dataset, bucket]} samples an epoch in {dataset}, fewer than "
        f"train_batch_size {batch_size}; disable_bucket_pruning=true trains it, as do more repeats"
    )
    return replace(row, sample=None, reason=reason)
