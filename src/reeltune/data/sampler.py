"""Which samples make up which micro-batch: a function of the seed and of the position, with no state to save.

An epoch shows every sample once (and as often again as its `repeats`), in batches of one bucket each. A bucket's last
batch may be smaller and is trained as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reeltune.contracts.clip import Bucket
from reeltune.randomness import Draws, Purpose


@dataclass(frozen=True)
class Place:
    """Where a sample may be drawn: its bucket, and how many times an epoch."""

    bucket: Bucket
    times: int = 1


class Order:
    """The order of a run's micro-batches, each a tuple of indices into the samples."""

    def __init__(self, places: Sequence[Place], *, batch_size: int, draws: Draws) -> None:
        buckets: dict[Bucket, list[int]] = defaultdict(list)
        for index, place in enumerate(places):
            buckets[place.bucket] += [index] * place.times
        self._buckets = [tuple(buckets[bucket]) for bucket in sorted(buckets)]
        self._batch_size = batch_size
        self._draws = draws
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    @property
    def batches_per_epoch(self) -> int:
        return sum(-(-len(bucket) // self._batch_size) for bucket in self._buckets)

    def micro_batch(self, position: int) -> tuple[int, ...]:
        """Return the samples of the run's micro-batch number `position`, counted from 0 over all epochs."""
        epoch, place = divmod(position, self.batches_per_epoch)
        return self._epoch(epoch)[place]

    def _draw_epoch(self, epoch: int) -> list[tuple[int, ...]]:
        stream = self._draws.stream(Purpose.ORDER, epoch)
        batches: list[tuple[int, ...]] = []
        for bucket in self._buckets:
            shuffled = [bucket[place] for place in stream.permutation(len(bucket))]
            batches += [
                tuple(shuffled[start : start + self._batch_size]) for start in range(0, len(shuffled), self._batch_size)
            ]
        return [batches[place] for place in stream.permutation(len(batches))]
