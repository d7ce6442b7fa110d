"""Sentences about what was understood differently from what was written, or will surprise; part of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow
from reeltune.contracts.facts import Facts
from reeltune.data.manifest import rate_notes
from reeltune.train.schedule import Schedule, schedule_of


def plan_notes(
    config: Config, datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts, *, total_steps: int
) -> list[str]:
    """Return every sentence that the plan should speak."""
    return [
        *_frame_notes(datasets, rows, facts),
        *_length_notes(config, rows),
        *_shift_notes(config),
        *_render_notes(config, facts),
        *_schedule_notes(schedule_of(config.training, total_steps)),
    ]


def rendered_size(config: Config, facts: Facts) -> tuple[int, int]:
    """Return width and height of a validation video: as asked, rounded down to what the model can make."""
    multiple = facts.geometry.side_multiple
    width, height = _asked_size(config)
    return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)


def _asked_size(config: Config) -> tuple[int, int]:
    width, height = (int(side) for side in config.rendering.validation_resolution.lower().split("x"))
    return width, height


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


def _length_notes(config: Config, rows: Sequence[ManifestRow]) -> Iterator[str]:
    training = config.training
    if training.max_train_steps and training.num_train_epochs:
        yield "max_train_steps and num_train_epochs are both set: the run ends at whichever comes first"
    in_a_step = training.train_batch_size * training.gradient_accumulation_steps
    clips = sum(row.sample is not None for row in rows)
    if clips < in_a_step:
        yield f"one step takes up to {in_a_step} clips and there are {clips}: a step goes on into the next pass"


def _shift_notes(config: Config) -> Iterator[str]:
    training, rendering = config.training.flow_schedule_shift, config.rendering.validation_flow_shift
    trained = "no shift" if training is None else f"shift {training:g}"
    if config.rendering.validation_prompt:
        rendered = "the model's own" if rendering is None else f"{rendering:g}"
        yield f"noise levels are trained with {trained}; the shift of validation videos is {rendered}"
    else:
        yield f"noise levels are trained with {trained}"


def _render_notes(config: Config, facts: Facts) -> Iterator[str]:
    rendering = config.rendering
    if not rendering.validation_prompt:
        yield "validation_prompt is not set: no videos are rendered"
        return
    asked, made = _asked_size(config), rendered_size(config, facts)
    if asked != made:
        multiple = facts.geometry.side_multiple
        yield f"validation_resolution {_size(asked)} -> {_size(made)}: sides are multiples of {multiple}"
    frames = rendering.validation_num_video_frames
    usable = facts.geometry.usable_frames(frames)
    if frames != usable:
        yield f"validation_num_video_frames {frames} -> {usable}, the next lower count of the form 4k+1"


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[0]}x{sides[1]}"


def _schedule_notes(schedule: Schedule) -> Iterator[str]:
    if not schedule.warmup or schedule.warmup < schedule.total and schedule.name != "constant":
        return
    total, warmup = schedule.total, schedule.warmup
    shares = {share: min(total - 1, total * share // 100) for share in (0, 1, 10, 50, 100)}
    rates = ", ".join(f"{schedule.rate(step):.3g} at {share} %" for share, step in shares.items())
    if schedule.name == "constant":
        yield "lr_warmup_steps is not used with lr_scheduler constant; constant_with_warmup uses it"
    elif schedule.effective_warmup == 0:
        yield (
            f"lr_warmup_steps {warmup} is not below the {total} steps of the run: no warm-up, full rate at once, "
            f"and decay over the whole run: {rates}"
        )
    else:
        yield f"lr_warmup_steps {warmup} is not below the {total} steps of the run: the rate only rises: {rates}"
