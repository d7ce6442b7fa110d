"""What a run will really do: facts derived from the options and the data, never written back into either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reeltune.config.datasets import Datasets, VideoDataset
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.contracts.family import Facts
from reeltune.data.buckets import Sizing
from reeltune.data.manifest import rate_notes
from reeltune.data.sampler import Order, Place
from reeltune.randomness import Draws
from reeltune.train.schedule import Schedule


@dataclass(frozen=True)
class Plan:
    """The derived facts of a run.

    epochs: passes over the data, with a fraction. rendered_frames: of a validation video, of the form 4k+1.
    notes: sentences for people about what was understood differently from what was written.
    """

    total_steps: int
    batches_per_epoch: int
    samples: int
    epochs: float
    rendered_size: tuple[int, int]
    rendered_frames: int
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the plan in words."""
        return [
            f"{self.total_steps} steps = {self.epochs:.1f} passes over {self.samples} clips "
            f"({self.batches_per_epoch} batches each)",
            *self.notes,
        ]

    def record(self) -> dict[str, Any]:
        """Return the plan as `plan.json` keeps it."""
        return asdict(self)


def make_plan(config: Config, datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts) -> Plan:
    """Work out a run from its options and its manifest."""
    training = config.training
    samples = [row.sample for row in rows if row.sample]
    order = make_order(config, datasets, samples)
    total_steps = _total_steps(config, order.batches_per_epoch)
    frames = config.rendering.validation_num_video_frames
    return Plan(
        total_steps=total_steps,
        batches_per_epoch=order.batches_per_epoch,
        samples=len(samples),
        epochs=total_steps * training.gradient_accumulation_steps / order.batches_per_epoch,
        rendered_size=_rendered_size(config, facts),
        rendered_frames=facts.geometry.usable_frames(frames),
        notes=tuple([*_frame_notes(datasets, rows, facts), *_schedule_notes(make_schedule(config, total_steps))]),
    )


def make_order(config: Config, datasets: Datasets, samples: Sequence[Sample]) -> Order:
    """Return the order in which samples are trained."""
    times = {video.id: video.repeats + 1 for video in datasets.videos}
    places = [Place(sample.placement.bucket, times[sample.dataset_id]) for sample in samples]
    return Order(places, batch_size=config.training.train_batch_size, draws=Draws(config.training.seed))


def make_schedule(config: Config, total_steps: int) -> Schedule:
    """Return the curve of the learning rate."""
    training = config.training
    return Schedule(
        training.lr_scheduler,
        peak=training.learning_rate,
        end=training.lr_end,
        warmup=training.lr_warmup_steps,
        total=total_steps,
    )


def sizing_of(dataset: VideoDataset, config: Config) -> Sizing:
    """Return how a dataset's clips are sized: its own words where it has any, the global ones elsewhere."""
    return Sizing(
        resolution=dataset.resolution if dataset.resolution is not None else config.data.resolution,
        resolution_type=dataset.resolution_type or config.data.resolution_type,
        rounding=config.data.aspect_bucket_rounding,
        alignment=config.data.aspect_bucket_alignment,
    )


def minimum_size_of(dataset: VideoDataset, config: Config) -> float:
    """Return below which size a dataset's clips are left out."""
    own = dataset.minimum_image_size
    return own if own is not None else config.data.minimum_image_size


def _total_steps(config: Config, batches_per_epoch: int) -> int:
    training = config.training
    by_epochs = -(-training.num_train_epochs * batches_per_epoch // training.gradient_accumulation_steps)
    return min(limit for limit in (training.max_train_steps, by_epochs) if limit)


def _rendered_size(config: Config, facts: Facts) -> tuple[int, int]:
    multiple = facts.geometry.side_multiple
    width, height = (int(side) for side in config.rendering.validation_resolution.lower().split("x"))
    return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)


def _frame_notes(datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts) -> list[str]:
    notes = []
    for dataset in datasets.videos:
        wanted = dataset.video.num_frames
        usable = facts.geometry.usable_frames(wanted)
        if usable != wanted:
            notes.append(f"{dataset.id}: num_frames {wanted} -> {usable}, the next lower count of the form 4k+1")
        own = [row for row in rows if row.sample and row.sample.dataset_id == dataset.id]
        notes += [f"{dataset.id}: {note}" for note in rate_notes(own, dataset.video, model_fps=facts.fps)]
    return notes


def _schedule_notes(schedule: Schedule) -> list[str]:
    if schedule.warmup == schedule.effective_warmup or not schedule.warmup:
        return []
    total = schedule.total
    places = {f"{share} %": min(total - 1, total * share // 100) for share in (0, 1, 10, 50, 100)}
    rates = ", ".join(f"{schedule.rate(step):.3g} at {share}" for share, step in places.items())
    if schedule.name == "constant":
        return [f"lr_warmup_steps is not used with lr_scheduler constant; constant_with_warmup is: {rates}"]
    return [
        f"lr_warmup_steps {schedule.warmup} is not below the {total} steps of the run: "
        f"no warm-up, full rate at once and decay over the whole run: {rates}"
    ]
