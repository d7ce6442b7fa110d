"""Leaving out buckets that cannot fill one micro-batch, where the run is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reeltune.contracts.clip import ManifestRow, samples_of


def without_small_buckets(
    rows: Sequence[ManifestRow], *, batch_size: int, times: Mapping[str, int]
) -> list[ManifestRow]:
    """Return the rows with the clips of every bucket that gives fewer than `batch_size` samples an epoch left out.

    times: how often an epoch shows each clip of a dataset.
    """
    counts: Counter = Counter()
    for sample in samples_of(rows):
        counts[sample.placement.bucket] += times[sample.dataset_id]
    return [_kept(row, counts, batch_size) for row in rows]


def _kept(row: ManifestRow, counts: Counter, batch_size: int) -> ManifestRow:
    if row.sample is None or counts[row.sample.placement.bucket] >= batch_size:
        return row
    bucket = row.sample.placement.bucket
    reason = (
        f"bucket pruned: {bucket} has {counts[bucket]} samples an epoch, fewer than train_batch_size {batch_size}; "
        "disable_bucket_pruning=true trains it, as do more repeats"
    )
    return replace(row, sample=None, reason=reason)
