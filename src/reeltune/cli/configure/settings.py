"""From answers to options: what is written into both files, each value with its reason."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reeltune.cli.configure.cards import LARGE, Card
from reeltune.cli.configure.folder import Folder
from reeltune.cli.configure.goals import GOALS, LION_FACTOR, RATE_FACTOR, SAMPLES_AT_LEAST, SAMPLES_AT_MOST
from reeltune.data.buckets import Sizing, bucket_size

NEGATIVE_PROMPT = (
    "static, blurred details, overexposed, grey, worst quality, low quality, JPEG artefacts, subtitles, deformed, "
    "extra limbs, fused fingers"
)
"""What no goal wants; it names no style, which a style to be learnt might be."""

SMALLEST_RESOLUTION = 256
LEAST_OF_THE_MODEL = 480
"""Side of a square in pixels, below which Wan 2.1 makes poor videos."""

CHEAP_INTERVAL = 150
"""Steps between videos with which they take about a tenth of the time, as one takes as long as 15 steps of one clip."""


@dataclass(frozen=True)
class Setting:
    """One option and its value. why: for people. when: set it always, or where the file has it not, or has it."""

    name: str
    value: Any
    why: str
    when: Literal["always", "absent", "present"] = "always"


@dataclass(frozen=True)
class Captions:
    """Where captions come from. instance_prompt: with one caption for all. allow_missing: leave out those without."""

    strategy: str
    instance_prompt: str | None = None
    allow_missing: bool = False


@dataclass(frozen=True)
class Answers:
    """All that was asked. goal, card: None leaves the settings that the file has.

    size: of the model, as in MODELS. captions, frames: None leaves the dataset's own.
    """

    folder: Folder
    captions: Captions | None
    goal: str | None
    size: str
    model: str
    card: Card | None
    frames: int | None
    steps: int
    prompt: str
    output: str


def resolution_for(goal: str | None, card: Card, folder: Folder) -> tuple[int, str]:
    """Return the resolution, as pixel_area, and why: no larger than nine tenths of the clips are themselves."""
    sides = sorted(math.isqrt(clip.info.width * clip.info.height) for clip in folder.clips)
    own = max(sides[len(sides) // 10] // 32 * 32, SMALLEST_RESOLUTION)
    most = GOALS[goal].most_resolution if goal else card.resolution
    if own < min(card.resolution, most):
        return own, f"your {folder.noun}s are no larger; enlarged ones would teach blur"
    if most < card.resolution:
        return most, "movement is learnt from frames more than from pixels"
    return card.resolution, card.whys["resolution"]


def suggested_steps(goal: str, clips: int, *, batch_size: int) -> int:
    """Return optimizer steps, in round numbers: more for more clips, fewer for larger batches."""
    samples = min(max(clips * GOALS[goal].steps_per_clip, SAMPLES_AT_LEAST), SAMPLES_AT_MOST)
    return _rounded(samples / batch_size)


def options_for(answers: Answers, given: Mapping[str, Any], *, datasets_file: str) -> list[Setting]:
    """Return the options of the configuration file.

    given: what the command line set, which wins, and which other values follow.
    """
    chosen = [
        Setting("model_family", "wan", "Wan 2.1 text-to-video", "absent"),
        Setting("model_type", "lora", "a small file that changes the model", "absent"),
        Setting("pretrained_model_name_or_path", answers.model, "the base model"),
        Setting("model_flavour", None, "pretrained_model_name_or_path names the model", "present"),
        *(_goal(answers, given) if answers.goal else ()),
        *(_card(answers, answers.card) if answers.card else ()),
        Setting("data_backend_config", datasets_file, "the file that lists your clips"),
        *_length(answers),
        *_videos(answers, given),
        Setting("output_dir", answers.output, "adapter, checkpoints, videos and log go there"),
        Setting("seed", 42, "the same number makes the same run", "absent"),
    ]
    wishes = {name: Setting(name, value, "as the command line says") for name, value in given.items()}
    return [wishes.pop(setting.name, setting) for setting in chosen] + list(wishes.values())


def _goal(answers: Answers, given: Mapping[str, Any]) -> Iterator[Setting]:
    assert answers.goal
    goal = GOALS[answers.goal]
    rate, why = goal.learning_rate * RATE_FACTOR[answers.size], goal.whys["learning_rate"]
    if answers.size == LARGE:
        why += ", halved for the larger model"
    if "lion" in str(given.get("optimizer", "")):
        rate, why = rate * LION_FACTOR, f"{why}, a fifth of it for Lion"
    yield Setting("lora_rank", goal.lora_rank, goal.whys["lora_rank"])
    yield Setting("optimizer", "torch-adamw", "its memory of an adapter is below 1 GB, so a smaller one saves little")
    yield Setting("learning_rate", float(f"{rate:.2g}"), why)
    yield Setting("lr_scheduler", "constant_with_warmup", "a run can go on for longer without a bend in the curve")
    yield Setting("lr_warmup_steps", min(100, answers.steps // 10), "the first steps are the roughest")
    yield Setting("grad_clip_method", "norm", "one bad clip cannot throw the adapter off")
    yield Setting("max_grad_norm", 1.0, "gradients above it are scaled down")
    yield Setting("flow_schedule_shift", goal.flow_schedule_shift, goal.whys["flow_schedule_shift"])
    why = goal.whys["caption_dropout_probability"]
    yield Setting("caption_dropout_probability", goal.caption_dropout_probability, why)


def _card(answers: Answers, card: Card) -> Iterator[Setting]:
    resolution, why = resolution_for(answers.goal, card, answers.folder)
    yield Setting("resolution", resolution, why)
    yield Setting("resolution_type", "pixel_area", f"{answers.folder.noun}s keep their own shape at that many pixels")
    yield Setting("train_batch_size", card.train_batch_size, card.whys["train_batch_size"])
    yield Setting(
        "gradient_checkpointing", True, "without it every block's work is kept: 15 to 45 GB more at 73 frames"
    )
    for name in ("base_model_precision", "text_encoder_1_precision", "offload_during_startup"):
        yield Setting(name, getattr(card, name), card.whys[name])


def _length(answers: Answers) -> Iterator[Setting]:
    yield Setting("max_train_steps", answers.steps, "the length of the run")
    yield Setting("num_train_epochs", 0, "max_train_steps ends the run", "present")
    if answers.goal:
        yield Setting("checkpointing_steps", _interval(answers.steps), "several times, to choose the best from")


def _videos(answers: Answers, given: Mapping[str, Any]) -> Iterator[Setting]:
    if not answers.prompt:
        yield Setting("validation_prompt", None, "no videos", "present")
        return
    yield Setting("validation_prompt", answers.prompt, "the video that you judge the run by")
    if not answers.goal:
        return
    yield Setting("validation_negative_prompt", NEGATIVE_PROMPT, "what no video should look like", "absent")
    yield Setting(
        "validation_steps", _interval(answers.steps), "with each checkpoint: a video takes as long as a dozen steps"
    )
    yield Setting("validation_resolution", *_video_size(answers, given))
    if answers.frames:
        yield Setting("validation_num_video_frames", answers.frames, "as long as what is trained")
    elif answers.card:
        yield Setting("validation_num_video_frames", answers.card.num_frames, "as long as the GPU has room for")


def _video_size(answers: Answers, given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the size of the validation videos, and why."""
    wanted = answers.card and resolution_for(answers.goal, answers.card, answers.folder)[0]
    resolution = given.get("resolution", wanted)
    if not isinstance(resolution, int | float) or resolution < LEAST_OF_THE_MODEL:
        aspect = statistics.median(clip.info.width / clip.info.height for clip in answers.folder.clips)
        size = "832x480" if aspect > 1.2 else "480x832" if aspect < 1 / 1.2 else "624x624"
        return size, "the model makes poor videos at smaller sizes, trained or not"
    sizing = Sizing(float(resolution), "pixel_area")
    shapes = Counter(bucket_size(clip.info.width, clip.info.height, sizing) for clip in answers.folder.clips)
    (width, height), _ = shapes.most_common(1)[0]
    return f"{width}x{height}", "the size that most of your clips are trained at"


def _interval(steps: int) -> int:
    return min(max(_rounded(steps / 8), CHEAP_INTERVAL), steps)


def _rounded(steps: float) -> int:
    return max(50, math.ceil(steps / 50) * 50)
