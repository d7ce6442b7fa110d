"""The outlook's account of data and course, on a made-up run whose every number is worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from reeltune.contracts.clip import Manifest
from reeltune.contracts.outlook import BucketOutlook, EvaluationOutlook, LeftOut, RenderOutlook, Routed
from reeltune.errors import ConfigError
from reeltune.run.outlook.course import length_outlook, rate_outlook, render_outlook, routing_outlook
from reeltune.run.outlook.data import bucket_outlooks, dataset_outlooks
from reeltune.run.outlook.evaluation import evaluation_outlook
from unit.run.made_up import LARGE, SQUARE, basis_of, mixed_manifest, of_one


def test_datasets_say_what_became_of_each_file() -> None:
    basis = basis_of(mixed_manifest(), repeats=1, eval_steps_interval=10)
    a, b, held_out = dataset_outlooks(basis)
    assert (a.id, a.folder, a.held_out, a.found, a.used, a.repeats, a.captions) == ("a", "a", False, 6, 3, 1, 6)
    assert a.left_out == (
        LeftOut(2, "too short", "one.mp4: 60 frames at 16 fps, 81 needed"),
        LeftOut(1, "unreadable", "broken.mp4: no video stream"),
    )
    assert a.rates == ("3 clips: 24.0 -> 16.0 fps: 81 frames = 5.06 s of source",)
    assert (b.found, b.used, b.repeats, b.left_out) == (5, 5, 0, ())
    assert (held_out.id, held_out.held_out, held_out.found, held_out.used) == ("h", True, 2, 2)


def test_folders_that_nobody_looks_at_are_not_told() -> None:
    # Without an interval nothing is measured, and the manifest has no rows of what is held out.
    basis = basis_of(Manifest(mixed_manifest().trained))
    assert [dataset.id for dataset in dataset_outlooks(basis)] == ["a", "b"]


def test_shapes_count_repeats_and_leave_held_out_clips_aside() -> None:
    basis = basis_of(mixed_manifest(), repeats=1, train_batch_size=4)
    # 21 latent frames of 30 x 52 patches, and 19 of 30 x 30. Twice three, and five, in batches of four.
    assert bucket_outlooks(basis) == (
        BucketOutlook(832, 480, 81, samples=6, batches=2, tokens=32_760),
        BucketOutlook(480, 480, 73, samples=5, batches=2, tokens=17_100),
    )
    assert basis.largest == LARGE


def test_the_length_is_that_of_the_limit_that_is_reached_first() -> None:
    # 6 + 5 samples in batches of two: 3 + 3. Four epochs are 24 micro-batches, and three of them make a step.
    basis = basis_of(
        mixed_manifest(),
        repeats=1,
        train_batch_size=2,
        gradient_accumulation_steps=3,
        num_train_epochs=4,
        max_train_steps=10,
        checkpointing_steps=3,
    )
    length = length_outlook(basis)
    assert (length.total_steps, length.ended_by, length.samples) == (8, "num_train_epochs", 11)
    assert (length.batch_size, length.accumulation, length.batches_per_epoch, length.epochs) == (2, 3, 6, 4.0)
    assert (length.checkpoints, length.done) == (3, 0)


@pytest.mark.parametrize(("every", "count"), [(0, 1), (30, 4), (50, 2), (100, 1), (500, 1)])
def test_checkpoints_are_saved_at_each_interval_and_at_the_end(every: int, count: int) -> None:
    assert length_outlook(basis_of(of_one(LARGE), checkpointing_steps=every)).checkpoints == count


@pytest.mark.parametrize(("wanted", "done"), [("latest", 40), ("checkpoint-20", 20), ("", 0), (False, 0)])
def test_steps_that_a_checkpoint_holds_are_done(tmp_path: Path, wanted: str | bool, done: int) -> None:
    for name in ("checkpoint-20", "checkpoint-40", "checkpoint-60.draft"):
        (tmp_path / "run" / name).mkdir(parents=True)
    basis = basis_of(of_one(LARGE), output_dir=str(tmp_path / "run"), resume_from_checkpoint=wanted)
    assert length_outlook(basis).done == done


def test_a_checkpoint_that_is_not_there_is_refused_as_in_training(tmp_path: Path) -> None:
    (tmp_path / "run/checkpoint-20").mkdir(parents=True)
    basis = basis_of(of_one(LARGE), output_dir=str(tmp_path / "run"), resume_from_checkpoint="checkpoint-30")
    with pytest.raises(ConfigError, match="checkpoint-30 is not a checkpoint of .*there: checkpoint-20"):
        length_outlook(basis)


def test_no_more_steps_are_done_than_the_run_has(tmp_path: Path) -> None:
    (tmp_path / "run/checkpoint-500").mkdir(parents=True)
    assert length_outlook(basis_of(of_one(LARGE), output_dir=str(tmp_path / "run"))).done == 100


def test_the_rate_is_told_at_five_places() -> None:
    options = {"learning_rate": 2e-4, "lr_end": 0.0, "lr_scheduler": "cosine", "lr_warmup_steps": 100}
    curve = rate_outlook(basis_of(of_one(LARGE), max_train_steps=1000, **options))

    def cosine(step: int) -> float:
        return 1e-4 * (1 + math.cos(math.pi * (step - 100) / 899))

    # Rising by 2e-6 a step for a hundred steps, then half a cosine that ends at the last step.
    expected = [(0, 0, 2e-6), (1, 10, 22e-6), (10, 100, 2e-4), (50, 500, cosine(500)), (100, 999, 0.0)]
    assert [(rate.percent, rate.step) for rate in curve.rates] == [place[:2] for place in expected]
    assert [rate.rate for rate in curve.rates] == pytest.approx([place[2] for place in expected], abs=1e-15)
    assert curve.name == "cosine after 100 steps of warm-up"
    assert curve.values[0] == pytest.approx(2e-6)
    assert max(curve.values) == pytest.approx(2e-4, rel=0.01)
    assert curve.values[-1] == pytest.approx(0)


def test_a_warm_up_as_long_as_the_run_is_none_and_the_curve_says_so() -> None:
    options = {"learning_rate": 5e-5, "lr_scheduler": "cosine", "lr_warmup_steps": 100}
    curve = rate_outlook(basis_of(of_one(LARGE), **options))
    assert curve.name == "cosine: full rate at once, then decay over the whole run"
    assert curve.rates[0].rate == curve.values[0] == 5e-5
    assert list(curve.values) == sorted(curve.values, reverse=True)


@pytest.mark.parametrize(
    ("scheduler", "warmup", "name"),
    [
        ("constant", 500, "constant"),
        ("constant", 0, "constant"),
        ("cosine", 0, "cosine"),
        ("sine", 100, "sine: full rate at once, then decay over the whole run"),
        ("constant_with_warmup", 20, "constant_with_warmup after 20 steps of warm-up"),
        ("constant_with_warmup", 500, "constant_with_warmup: only rises, for its warm-up takes 500 steps"),
        ("linear", 100, "linear: only rises, for its warm-up takes 100 steps"),
        ("linear", 99, "linear after 99 steps of warm-up"),
    ],
)
def test_the_course_is_told_as_it_is(scheduler: str, warmup: int, name: str) -> None:
    curve = rate_outlook(basis_of(of_one(LARGE), lr_scheduler=scheduler, lr_warmup_steps=warmup))
    assert curve.name == name
    half, end = (rate.rate for rate in curve.rates[3:])
    assert (half > end) or "decay" not in name
    assert (half < end) or "only rises" not in name


def route(ratio: float, first: int, last: int) -> dict[str, Any]:
    return {"selection_ratio": ratio, "start_layer_idx": first, "end_layer_idx": last}


@pytest.mark.parametrize(
    ("routes", "left"),
    [
        ([route(0.1, 2, -2)], 0.86),
        ([route(0.5, 2, -2)], 0.41),
        (
            [route(0.1, 2, 8), route(0.25, 9, 11), route(0.35, 12, 15), route(0.25, 16, 23), route(0.1, 24, -2)],
            0.735,
        ),
    ],
)
def test_routing_saves_what_was_worked_out_by_hand(routes: list[dict[str, Any]], left: float) -> None:
    routing = routing_outlook(basis_of(of_one(SQUARE), tread_config={"routes": routes}))
    assert routing is not None
    assert 1 - routing.saving == pytest.approx(left, abs=0.005)


def test_routing_counts_the_tokens_and_passes_of_the_run_itself() -> None:
    options = {"tread_config": {"routes": [route(0.5, 2, -2)]}, "gradient_checkpointing": False}
    routing = routing_outlook(basis_of(mixed_manifest(), **options))
    assert routing is not None
    assert (routing.segments, routing.all_tokens) == ((Routed(2, 28, 16_380),), 32_760)

    def step(tokens: int) -> float:
        # Two passes of 12 d^2 + 4 d f a token and of 4 d^2 a word, three and a half of 4 n (n + 512) d.
        linear = tokens * (12 * 1536**2 + 4 * 1536 * 8960) + 512 * 4 * 1536**2
        return 2 * linear + 3.5 * 4 * tokens * (tokens + 512) * 1536

    expected = 1 - (27 * step(16_380) + 3 * step(32_760)) / (30 * step(32_760))
    assert routing.saving == pytest.approx(expected, rel=1e-9)
    whole = routing_outlook(basis_of(mixed_manifest(), model_type="full", **options))
    assert whole is not None
    # A third linear pass, for the gradient of the weights: linear layers save their share, attention saves more.
    assert 0.45 < whole.saving < routing.saving
    assert routing_outlook(basis_of(of_one(LARGE))) is None
    assert routing_outlook(basis_of(of_one(LARGE), size=None, tread_config=options["tread_config"])) is None


def test_videos_are_counted_by_prompt_size_seed_and_weights() -> None:
    basis = basis_of(
        of_one(LARGE),
        validation_prompt="x",
        user_prompt_library={"second": "y"},
        validation_resolution="832x480,850x480,480x480",
        num_validation_images=2,
        validation_num_video_frames=50,
        validation_steps=30,
        use_ema=True,
    )
    # Two prompts, 848x480 beside the two others, two seeds, raw and averaged; at 30, 60, 90, 100 and of the base.
    sizes = ((832, 480), (848, 480), (480, 480))
    assert render_outlook(basis) == RenderOutlook(2, 24, 5, sizes, frames=49, steps=30, scheduler="unipc")
    assert render_outlook(basis_of(of_one(LARGE))) is None


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"validation_steps": 50}, 3),
        ({"validation_steps": 0}, 2),
        ({"validation_steps": 500}, 2),
        ({"validation_steps": 30, "disable_benchmark": True}, 4),
    ],
)
def test_videos_are_made_at_each_interval_at_the_end_and_of_the_base(options: dict[str, Any], times: int) -> None:
    renders = render_outlook(basis_of(of_one(LARGE), validation_prompt="x", **options))
    assert renders is not None
    assert renders.times == times


def test_held_out_clips_are_measured_at_each_level_with_the_weights_and_their_average() -> None:
    # Two clips, before the first step, at the interval three times, and at the end.
    options: dict[str, Any] = {"eval_steps_interval": 30, "eval_timesteps": 5}
    basis = basis_of(mixed_manifest(), **options)
    assert evaluation_outlook(basis) == EvaluationOutlook(
        ("h",), clips=2, held_out=2, pooled=False, levels=5, passes=10, times=5
    )
    averaged = evaluation_outlook(basis_of(mixed_manifest(), use_ema=True, **options))
    assert averaged is not None
    assert averaged.passes == 20
    assert evaluation_outlook(basis_of(mixed_manifest())) is None
    assert evaluation_outlook(basis_of(of_one(LARGE), **options)) is None
