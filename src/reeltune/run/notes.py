"""What a plan says beside its numbers: where words and effect differ, what will surprise, what is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reeltune.config.datasets import ClipDataset, Datasets
from reeltune.config.root import Config
from reeltune.contracts.checkpoints import steps_in
from reeltune.contracts.clip import Bucket, ManifestRow, samples_of
from reeltune.contracts.facts import Facts
from reeltune.contracts.notes import Note
from reeltune.objective.shift import Shift, shift_of
from reeltune.run.optimization_notes import optimization_notes
from reeltune.run.optimizer_notes import optimizer_notes
from reeltune.run.rendering_plan import made_sizes, prompts_of
from reeltune.train.schedule import Schedule, schedule_of

FOUR_K_PLUS_1 = "the autoencoder takes lengths of the form 4k+1"


def plan_notes(
    config: Config, datasets: Datasets, rows: Sequence[ManifestRow], facts: Facts, *, total_steps: int
) -> list[Note]:
    """Return every note on a run."""
    buckets = sorted({sample.placement.bucket for sample in samples_of(rows)})
    return [
        *(note for dataset in datasets.clips for note in _length_of_samples(dataset, facts)),
        *_length_notes(config, rows),
        *_schedule_notes(schedule_of(config.optimization, total_steps, samples=config.training.samples_per_step)),
        *optimizer_notes(config),
        *optimization_notes(config),
        *_clip_notes(config),
        *_shift_notes(config, buckets, facts),
        *_data_notes(config),
        *_checkpoint_notes(config),
        *_render_notes(config, facts, buckets),
        *_average_notes(config, total_steps),
    ]


def _length_of_samples(dataset: ClipDataset, facts: Facts) -> Iterator[Note]:
    wanted = dataset.video.num_frames
    usable = facts.geometry.usable_frames(wanted)
    if usable != wanted:
        seconds = usable / facts.fps
        text = f"{wanted} -> {usable} frames = {seconds:.2f} s at {facts.fps:g} frames per second: {FOUR_K_PLUS_1}"
        if dataset.video.min_frames == wanted:
            text += "; min_frames, which is the same number, follows"
        yield Note("trap", f"{dataset.id}.video.num_frames", text)


def _length_notes(config: Config, rows: Sequence[ManifestRow]) -> Iterator[Note]:
    training = config.training
    if training.max_train_steps and training.num_train_epochs and not training.ignore_final_epochs:
        text = "both are set: the run ends at whichever comes first"
        yield Note("fact", "max_train_steps, num_train_epochs", text)
    elif training.num_train_epochs and training.ignore_final_epochs:
        text = "num_train_epochs does not end the run; max_train_steps does"
        yield Note("fact", "ignore_final_epochs", text)
    in_a_step = training.train_batch_size * training.gradient_accumulation_steps
    clips = len(samples_of(rows))
    if clips < in_a_step:
        text = f"one step takes up to {in_a_step} clips and there are {clips}: a step goes on into the next pass"
        yield Note("fact", "train_batch_size", text)


def _schedule_notes(schedule: Schedule) -> Iterator[Note]:
    if not schedule.warmup or (schedule.warmup < schedule.total and schedule.name != "constant"):
        return
    total, warmup = schedule.total, schedule.warmup
    rates = ", ".join(f"{rate:.3g} at {percent} %" for percent, _, rate in rates_along(schedule))
    if schedule.name == "constant":
        text = "is not used with lr_scheduler constant; constant_with_warmup uses it"
    elif schedule.effective_warmup == 0:
        text = (
            f"{warmup} is not below the {total} steps of the run: no warm-up, full rate at once, and decay over the "
            f"whole run: {rates}"
        )
    else:
        text = (
            f"{warmup} is not below the {total} steps of the run: the rate only rises, and never decays: {rates}; "
            f"lr_warmup_steps={max(1, total // 20)} would leave time for both"
        )
    yield Note("trap", "lr_warmup_steps", text)


def rates_along(schedule: Schedule) -> list[tuple[int, int, float]]:
    """Return (percent of the run, step, learning rate) at its start, early, and at its end."""
    steps = {percent: min(schedule.total - 1, schedule.total * percent // 100) for percent in (0, 1, 10, 50, 100)}
    return [(percent, step, schedule.rate(step)) for percent, step in steps.items()]


def _clip_notes(config: Config) -> Iterator[Note]:
    if config.optimization.grad_clip_method != "value" or not 0 < config.optimization.max_grad_norm < 1:
        return
    text = (
        f"{config.optimization.max_grad_norm:g} is a limit for each element of the gradient (grad_clip_method value), "
        "not for its norm"
    )
    if "lion" in config.optimization.optimizer:
        text += "; Lion uses signs, so it only evens out what single large elements add to the momentum"
    yield Note("trap", "max_grad_norm", text)


def _shift_notes(config: Config, buckets: Sequence[Bucket], facts: Facts) -> Iterator[Note]:
    rendered = config.rendering.validation_flow_shift
    shown = "the model's own" if rendered is None else f"{rendered:g}"
    trained = shift_in_words(config, buckets, facts)
    option = "flow_schedule_auto_shift" if config.objective.flow_schedule_auto_shift else "flow_schedule_shift"
    text = f"noise levels are trained with {trained}"
    videos = f"; the shift of videos is {shown} (validation_flow_shift)" if prompts_of(config.rendering) else ""
    yield Note("fact", option, text + videos)


def shift_in_words(config: Config, buckets: Sequence[Bucket], facts: Facts) -> str:
    """Return the shift of training: one number, or that of each frame size."""
    shift = shift_of(config.objective)
    if not shift.follows_size:
        return "no shift" if shift.fixed == 1 else f"shift {shift.fixed:g}"
    sizes = {(bucket.width, bucket.height): bucket_shift(shift, bucket, facts) for bucket in buckets}
    return "shift " + ", ".join(f"{value:.2f} at {width}x{height}" for (width, height), value in sizes.items())


def bucket_shift(shift: Shift, bucket: Bucket, facts: Facts) -> float:
    """Return the shift of a bucket."""
    _, _, height, width = facts.geometry.shape_of(bucket)
    return shift.at(latent_height=height, latent_width=width)


def _data_notes(config: Config) -> Iterator[Note]:
    if config.data.delete_problematic_images:
        text = "no file is ever deleted; clips that cannot be read are skipped and listed in quarantine.jsonl"
        yield Note("trap", "delete_problematic_images", text)


def _checkpoint_notes(config: Config) -> Iterator[Note]:
    wanted, folder = config.reporting.resume_from_checkpoint, config.reporting.run_folder
    if wanted == "latest" and not steps_in(folder):
        yield Note("fact", "resume_from_checkpoint", f"{folder} has no checkpoint yet: step 0 is the start")


def _render_notes(config: Config, facts: Facts, buckets: Sequence[Bucket]) -> Iterator[Note]:
    rendering = config.rendering
    if not prompts_of(rendering):
        why = "validation_disable" if rendering.validation_disable else "validation_prompt"
        yield Note("fact", why, "no videos are rendered")
        return
    if placeholders := [prompt.name for prompt in prompts_of(rendering) if "<token>" in prompt.prompt]:
        about = "user_prompt_library" if rendering.user_prompt_library else "validation_prompt"
        count = f"{len(placeholders)} prompt{'s' * (len(placeholders) > 1)}"
        text = f"{count} with <token> in it: put your own word there, such as the name in your captions"
        yield Note("trap", about, text)
    for asked, made in made_sizes(rendering, facts).items():
        if asked != made:
            text = f"{_size(asked)} -> {_size(made)}: sides are multiples of {facts.geometry.side_multiple}"
            yield Note("trap", "validation_resolution", text)
    frames = rendering.validation_num_video_frames
    usable = facts.geometry.usable_frames(frames)
    if frames != usable:
        yield Note("trap", "validation_num_video_frames", f"{frames} -> {usable}: {FOUR_K_PLUS_1}")
    yield from _other_than_trained(config, facts, buckets)


def _other_than_trained(config: Config, facts: Facts, buckets: Sequence[Bucket]) -> Iterator[Note]:
    """Say where videos have a shape that is not trained: what they show is then more than what was learned."""
    made = set(made_sizes(config.rendering, facts).values())
    trained = {(bucket.width, bucket.height) for bucket in buckets}
    if trained and not made & trained:
        text = f"videos are {_sizes(made)}; what is trained is {_sizes(trained)}"
        yield Note("trap", "validation_resolution", text)
    usable = facts.geometry.usable_frames(config.rendering.validation_num_video_frames)
    lengths = {bucket.frames for bucket in buckets}
    if lengths and usable not in lengths:
        text = f"videos have {usable} frames; what is trained has {', '.join(map(str, sorted(lengths)))}"
        yield Note("trap", "validation_num_video_frames", text)


def _average_notes(config: Config, total_steps: int) -> Iterator[Note]:
    if not config.average.use_ema:
        return
    if total_steps < config.average.ema_update_interval:
        text = f"is more than the {total_steps} steps of the run: the average stays at the base model"
        yield Note("trap", "ema_update_interval", text)
    if config.rendering.ema_validation != "ema_only" or not prompts_of(config.rendering):
        return
    horizon = round(1 / (1 - config.average.ema_decay))
    text = (
        f"videos show the average alone, which follows about {min(horizon, total_steps)} steps behind: early ones look "
        "like the base model; the result file holds the average too"
    )
    yield Note("trap", "ema_validation", text)


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[0]}x{sides[1]}"


def _sizes(sizes: set[tuple[int, int]]) -> str:
    shown = [_size(size) for size in sorted(sizes)]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
