"""Which samples make up which micro-batch: a function of the seed and of the position, with no state to save.

Each dataset is passed over and over again, and a pass shows every sample once (and as often again as its `repeats`), in
batches of one bucket each. A bucket's last batch may be smaller and is trained as it is.

An epoch is a whole pass over the datasets that are drawn most often for their size, and a part of one over the others,
which go on in the next epoch where they stopped: so all their clips are shown equally often. How many batches that is
may be a fraction; then an epoch has one more now and then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor

from reeltune.contracts.clip import Bucket
from reeltune.data.weights import DatasetWeights
from reeltune.randomness import Draws, Purpose


@dataclass(frozen=True)
class Place:
    """Where a sample may be drawn: its bucket, how many times a pass shows it, and its dataset."""

    bucket: Bucket
    times: int = 1
    dataset: str = ""


@dataclass(frozen=True)
class Group:
    """What may share a batch: the samples of one dataset and bucket. samples, batches: of an epoch, on average."""

    dataset: str
    bucket: Bucket
    samples: Fraction
    batches: Fraction


class Passes:
    """The micro-batches of one dataset, without end: one shuffled pass after the other."""

    def __init__(self, places: Iterable[tuple[int, Place]], *, number: int, batch_size: int, draws: Draws) -> None:
        buckets: dict[Bucket, list[int]] = defaultdict(list)
        for index, place in places:
            buckets[place.bucket] += [index] * place.times
        self.buckets = {bucket: tuple(buckets[bucket]) for bucket in sorted(buckets)}
        self._number = number
        self._batch_size = batch_size
        self._draws = draws
        self._pass = lru_cache(maxsize=2)(self._draw_pass)

    @property
    def size(self) -> int:
        """Return the micro-batches of one pass."""
        return sum(map(self.batches_of, self.buckets))

    @property
    def samples(self) -> set[int]:
        return {index for bucket in self.buckets.values() for index in bucket}

    def batches_of(self, bucket: Bucket) -> int:
        """Return the micro-batches of a bucket in one pass."""
        return -(-len(self.buckets[bucket]) // self._batch_size)

    def between(self, start: int, stop: int) -> list[tuple[int, ...]]:
        """Return the micro-batches from number `start` up to `stop`, counted from 0 over all passes."""
        size = self.size
        return [self._pass(number // size)[number % size] for number in range(start, stop)]

    def _draw_pass(self, number: int) -> list[tuple[int, ...]]:
        stream = self._draws.stream(Purpose.ORDER, number, self._number)
        batches: list[tuple[int, ...]] = []
        for bucket in self.buckets.values():
            shuffled = [bucket[place] for place in stream.permutation(len(bucket))]
            batches += [
                tuple(shuffled[start : start + self._batch_size]) for start in range(0, len(shuffled), self._batch_size)
            ]
        return [batches[place] for place in stream.permutation(len(batches))]


class Order:
    """The order of a run's micro-batches, each a tuple of indices into the samples."""

    def __init__(
        self, places: Sequence[Place], *, batch_size: int, draws: Draws, weights: DatasetWeights | None = None
    ) -> None:
        datasets: dict[str, list[tuple[int, Place]]] = defaultdict(list)
        for index, place in enumerate(places):
            datasets[place.dataset].append((index, place))
        self._passes = {
            name: Passes(own, number=number, batch_size=batch_size, draws=draws)
            for number, (name, own) in enumerate(datasets.items())
        }
        self._sizes = {name: one.size for name, one in self._passes.items()}
        self._per_epoch = (weights or DatasetWeights()).per_epoch(self._sizes)
        self._draws = draws
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    @property
    def batches_per_epoch(self) -> Fraction:
        """Return the micro-batches of an epoch, on average."""
        return sum(self._per_epoch.values(), Fraction())

    @property
    def is_even(self) -> bool:
        """Tell whether an epoch is one whole pass over every dataset."""
        return self._per_epoch == self._sizes

    @property
    def shares(self) -> dict[str, float]:
        """Return which part of the micro-batches is of each dataset."""
        return {name: float(batches / self.batches_per_epoch) for name, batches in self._per_epoch.items()}

    @property
    def parts(self) -> dict[str, float]:
        """Return which part of a pass over each dataset an epoch is."""
        return {name: float(batches / self._sizes[name]) for name, batches in self._per_epoch.items()}

    @property
    def groups(self) -> list[Group]:
        """Return what may share a batch, with how much of it an epoch shows."""
        return [
            Group(name, bucket, samples=len(indices) * part, batches=one.batches_of(bucket) * part)
            for name, one in self._passes.items()
            for part in [self._per_epoch[name] / self._sizes[name]]
            for bucket, indices in one.buckets.items()
        ]

    def batches_until(self, epoch: int) -> int:
        """Return the micro-batches of all epochs before this one."""
        return sum(self._done(name, epoch) for name in self._passes)

    def epoch_of(self, position: int) -> int:
        """Return the epoch, counted from 0, that micro-batch number `position` of the run is in."""
        # The mean never falls behind the count, so that this is the epoch or shortly before it.
        epoch = floor(position / self.batches_per_epoch)
        while self.batches_until(epoch + 1) <= position:
            epoch += 1
        return epoch

    def micro_batch(self, position: int) -> tuple[int, ...]:
        """Return the samples of the run's micro-batch number `position`, counted from 0 over all epochs."""
        epoch = self.epoch_of(position)
        return self._epoch(epoch)[position - self.batches_until(epoch)]

    def seen(self, position: int) -> dict[str, tuple[int, int]]:
        """Return how many samples of each dataset the micro-batches before `position` show, and of how many."""
        epoch = self.epoch_of(position)
        begun = Counter(self._turns(epoch)[: position - self.batches_until(epoch)])
        return {
            name: (self._shown(name, self._done(name, epoch) + begun[name]), len(one.samples))
            for name, one in self._passes.items()
        }

    def _shown(self, name: str, batches: int) -> int:
        """Return how many samples of a dataset its first micro-batches show."""
        first_pass = self._passes[name].between(0, min(batches, self._sizes[name]))
        return len({index for batch in first_pass for index in batch})

    def _done(self, name: str, epoch: int) -> int:
        """Return the micro-batches of a dataset in all epochs before this one."""
        return floor(epoch * self._per_epoch[name])

    def _turns(self, epoch: int) -> list[str]:
        """Return which dataset each micro-batch of an epoch is of."""
        turns = [name for name in self._passes for _ in range(self._done(name, epoch + 1) - self._done(name, epoch))]
        # Datasets take the streams 0, 1, ... of a pass; whose turn it is has the one behind the last.
        stream = self._draws.stream(Purpose.ORDER, epoch, len(self._passes))
        return [turns[place] for place in stream.permutation(len(turns))]

    def _draw_epoch(self, epoch: int) -> list[tuple[int, ...]]:
        """Return the micro-batches of an epoch: turns are shuffled, and each dataset's own keep their order."""
        shown = {
            name: iter(one.between(self._done(name, epoch), self._done(name, epoch + 1)))
            for name, one in self._passes.items()
        }
        return [next(shown[name]) for name in self._turns(epoch)]
