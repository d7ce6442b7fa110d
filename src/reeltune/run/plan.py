"""What a run will really do: facts derived from the options and the data, never written back into either. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import starmap
from typing import Any

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, Sample, samples_of
from reeltune.contracts.facts import Facts
from reeltune.contracts.notes import Note
from reeltune.contracts.outlook import DatasetShare, Mean
from reeltune.data.sampler import Order, Place
from reeltune.data.weights import DatasetWeights
from reeltune.randomness import Draws
from reeltune.routing.plan import Segment, resolve
from reeltune.run.drawing_notes import drawing_notes
from reeltune.run.mask_notes import mask_notes
from reeltune.run.notes import plan_notes


@dataclass(frozen=True)
class Plan:
    """The derived facts of a run.

    length_option, length: the option that ends the run, and its value. batches_per_epoch: on average. epochs: with a
    fraction. shares: of the steps, where there are several datasets. is_even: whether an epoch is one whole pass over
    each.
    notes: what was understood differently from what was written.
    """

    total_steps: int
    length_option: str
    length: int
    batches_per_epoch: Mean
    samples: int
    epochs: float
    notes: tuple[Note, ...]
    shares: tuple[DatasetShare, ...] = ()
    is_even: bool = True

    def length_in_words(self) -> str:
        batches = f"{self.batches_per_epoch:.1f}".removesuffix(".0")
        if self.is_even:
            course = f"{self.epochs:.1f} passes over {self.samples} clips ({batches} batches a pass)"
        else:
            course = f"{self.epochs:.1f} epochs of {batches} batches, from {self.samples} clips"
        return f"{self.total_steps} steps = {course}"

    def record(self) -> dict[str, Any]:
        """Return the plan as `plan.json` keeps it."""
        return asdict(self)


def make_plan(config: Config, datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts) -> Plan:
    """Work out a run from its options and its manifest."""
    training = config.training
    samples = samples_of(rows)
    order = make_order(config, datasets, samples)
    total_steps, option = min(_ends(config, order))
    return Plan(
        total_steps=total_steps,
        length_option=option,
        length=getattr(training, option),
        batches_per_epoch=plain(order.batches_per_epoch),
        samples=len(samples),
        epochs=float(total_steps * training.gradient_accumulation_steps / order.batches_per_epoch),
        notes=(
            *plan_notes(config, datasets, rows, facts, total_steps=total_steps),
            *drawing_notes(config, datasets, order, total_steps=total_steps),
            *mask_notes(config, datasets, rows),
        ),
        shares=tuple(starmap(DatasetShare, order.shares.items())) if len(order.shares) > 1 else (),
        is_even=order.is_even,
    )


def make_order(config: Config, datasets: Datasets, samples: Sequence[Sample]) -> Order:
    """Return the order in which samples are trained."""
    times = {dataset.id: dataset.times for dataset in datasets.trained}
    places = [Place(sample.placement.bucket, times[sample.dataset_id], sample.dataset_id) for sample in samples]
    weights = DatasetWeights(
        {dataset.id: dataset.probability for dataset in datasets.trained},
        by_size=config.data.data_backend_sampling == "auto-weighting",
    )
    return Order(
        places, batch_size=config.training.train_batch_size, draws=Draws(config.training.seed), weights=weights
    )


def plain(number: Fraction) -> Mean:
    """Return a mean as the number that people and files have: a whole one where it is whole."""
    return int(number) if number.denominator == 1 else float(number)


def segments_of(config: Config, layers: int) -> tuple[Segment, ...]:
    """Return the routes of a transformer of so many blocks; none when tokens are not routed."""
    tread = config.training.tread_config
    return resolve(tread, layers) if tread else ()


def _ends(config: Config, order: Order) -> list[tuple[int, str]]:
    """Return the steps after which each option that is set would end the run."""
    training = config.training
    epochs = 0 if training.ignore_final_epochs else training.num_train_epochs
    by_epochs = -(-order.batches_until(epochs) // training.gradient_accumulation_steps)
    ends = [(training.max_train_steps, "max_train_steps"), (by_epochs, "num_train_epochs")]
    return [(steps, option) for steps, option in ends if steps]
