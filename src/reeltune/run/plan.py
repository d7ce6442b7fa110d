"""What a run will really do: facts derived from the options and the data, never written back into either. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reeltune.config.datasets import ClipDataset, Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, Sample, samples_of
from reeltune.contracts.facts import Facts
from reeltune.contracts.notes import Note
from reeltune.data.buckets import Sizing
from reeltune.data.sampler import Order, Place
from reeltune.randomness import Draws
from reeltune.routing.plan import Segment, resolve
from reeltune.run.notes import plan_notes


@dataclass(frozen=True)
class Plan:
    """The derived facts of a run.

    length_option, length: the option that ends the run, and its value. epochs: passes over the data, with a fraction.
    notes: what was understood differently from what was written.
    """

    total_steps: int
    length_option: str
    length: int
    batches_per_epoch: int
    samples: int
    epochs: float
    notes: tuple[Note, ...]

    def length_in_words(self) -> str:
        return (
            f"{self.total_steps} steps = {self.epochs:.1f} passes over {self.samples} clips "
            f"({self.batches_per_epoch} batches a pass)"
        )

    def record(self) -> dict[str, Any]:
        """Return the plan as `plan.json` keeps it."""
        return asdict(self)


def make_plan(config: Config, datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts) -> Plan:
    """Work out a run from its options and its manifest."""
    training = config.training
    samples = samples_of(rows)
    order = make_order(config, datasets, samples)
    total_steps, option = min(_ends(config, order.batches_per_epoch))
    return Plan(
        total_steps=total_steps,
        length_option=option,
        length=getattr(training, option),
        batches_per_epoch=order.batches_per_epoch,
        samples=len(samples),
        epochs=total_steps * training.gradient_accumulation_steps / order.batches_per_epoch,
        notes=tuple(plan_notes(config, datasets, rows, facts, total_steps=total_steps)),
    )


def make_order(config: Config, datasets: Datasets, samples: Sequence[Sample]) -> Order:
    """Return the order in which samples are trained."""
    times = {video.id: video.times for video in datasets.trained}
    places = [Place(sample.placement.bucket, times[sample.dataset_id]) for sample in samples]
    return Order(places, batch_size=config.training.train_batch_size, draws=Draws(config.training.seed))


def segments_of(config: Config, layers: int) -> tuple[Segment, ...]:
    """Return the routes of a transformer of so many blocks; none when tokens are not routed."""
    tread = config.training.tread_config
    return resolve(tread, layers) if tread else ()


def sizing_of(dataset: ClipDataset, config: Config) -> Sizing:
    """Return how a dataset's clips are sized: its own words where it has any, the global ones elsewhere."""
    return Sizing(
        resolution=dataset.resolution if dataset.resolution is not None else config.data.resolution,
        resolution_type=dataset.resolution_type or config.data.resolution_type,
        rounding=config.data.aspect_bucket_rounding,
        alignment=config.data.aspect_bucket_alignment,
    )


def minimum_size_of(dataset: ClipDataset, config: Config) -> float:
    """Return below which size a dataset's clips are left out."""
    own = dataset.minimum_image_size
    return own if own is not None else config.data.minimum_image_size


def _ends(config: Config, batches_per_epoch: int) -> list[tuple[int, str]]:
    """Return the steps after which each option that is set would end the run."""
    training = config.training
    epochs = 0 if training.ignore_final_epochs else training.num_train_epochs
    by_epochs = -(-epochs * batches_per_epoch // training.gradient_accumulation_steps)
    ends = [(training.max_train_steps, "max_train_steps"), (by_epochs, "num_train_epochs")]
    return [(steps, option) for steps, option in ends if steps]
