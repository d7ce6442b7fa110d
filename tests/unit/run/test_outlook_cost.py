"""The outlook's operations and least times, against figures of real shapes that were worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from reeltune.contracts.clip import Manifest
from reeltune.contracts.outlook import Cost
from reeltune.estimate.sizes import SIZES
from reeltune.machine.gpu import Gpu
from reeltune.run.outlook.advice import video_notes
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import cost_outlook
from unit.run.made_up import LARGE, SQUARE, basis_of, mixed_manifest, of_one

LARGE_TFLOP, SQUARE_TFLOP = 1150.30, 378.53
"""One sample of the 1.3B model, every block recomputed: 3 * 82.073 + 4.5 * 200.907, and 3 * 42.910 + 4.5 * 55.511."""

LARGE_S, VIDEO_S = 1.8488, 0.41650
"""On an H100. A step: 246.2 / 800 + 401.8 / 640 + 502.3 / 550. A forward pass: 82.07 / 800 + 200.91 / 640."""


def cost_of(basis: Basis, card: Gpu | None = None) -> Cost:
    cost = cost_outlook(basis, card)
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    ("size", "recomputed", "tflop", "h100_s", "ada_s"),
    [
        ("1.3B", True, 1150, 1.85, 8.5),
        ("1.3B", False, 867, 1.43, 6.6),
        ("14B", True, 6374, 9.79, 46),
        ("14B", False, 4696, 7.42, 35),
    ],
)
def test_a_step_of_480p_costs_what_was_worked_out(
    size: str, recomputed: bool, tflop: float, h100_s: float, ada_s: float
) -> None:
    cost = cost_of(basis_of(of_one(LARGE), size=SIZES[size], gradient_checkpointing=recomputed))
    assert cost.step_tflop == pytest.approx(tflop, abs=0.5)
    assert [bound.gpu for bound in cost.bounds] == ["H100 80GB HBM3", "RTX 4090"]
    assert cost.bounds[0].step_s == pytest.approx(h100_s, abs=0.0051)
    assert cost.bounds[1].step_s == pytest.approx(ada_s, abs=0.051 if ada_s < 10 else 0.51)
    assert (cost.render_tflop, cost.render_share) == (0, None)


def test_a_step_is_the_mean_of_its_micro_batches() -> None:
    basis = basis_of(mixed_manifest(), repeats=1, train_batch_size=4, gradient_accumulation_steps=3)
    # An epoch has 6 large samples in two batches and 5 square ones in two; a step is three batches.
    expected = 3 * (6 * LARGE_TFLOP + 5 * SQUARE_TFLOP) / 4
    assert cost_of(basis).step_tflop == pytest.approx(expected, rel=1e-4)


def test_a_time_is_told_first_for_the_gpu_that_is_here() -> None:
    known, unknown = (
        [bound.gpu for bound in cost_of(basis_of(of_one(LARGE)), card(name)).bounds]
        for name in ("NVIDIA A100-SXM4-80GB", "NVIDIA TITAN")
    )
    assert known == ["A100-SXM4-80GB", "H100 80GB HBM3", "RTX 4090"]
    assert unknown == ["H100 80GB HBM3", "RTX 4090"]
    here = [bound.gpu for bound in cost_of(basis_of(of_one(LARGE)), card("NVIDIA GeForce RTX 4090")).bounds]
    assert here == ["RTX 4090", "H100 80GB HBM3"]


def card(name: str, *, memory_bytes: int = 24 * 2**30) -> Gpu:
    return Gpu(name, memory_bytes, memory_bytes, "550.1", 0)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        # Thirty steps with and without the prompt; one of these alone; raw and averaged; two seeds.
        ({}, 60),
        ({"validation_guidance": 1.0}, 30),
        ({"use_ema": True}, 120),
        ({"use_ema": True, "ema_validation": "ema_only"}, 60),
        ({"num_validation_images": 2, "validation_num_inference_steps": 10}, 40),
    ],
)
def test_videos_cost_a_forward_pass_for_each_step_and_prompt(options: dict[str, Any], passes: int) -> None:
    cost = cost_of(basis_of(of_one(LARGE), validation_prompt="x", **options))
    assert cost.render_tflop == pytest.approx(passes * (82.07 + 200.91), rel=1e-4)
    assert cost.bounds[0].renders_s == pytest.approx(passes * VIDEO_S, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "videos"),
    [
        # After 50 and 100 steps, and of the base; without the base; at the end alone; the base has no average.
        ({"validation_steps": 50}, 3),
        ({"validation_steps": 50, "disable_benchmark": True}, 2),
        ({"validation_steps": 0, "disable_benchmark": True}, 1),
        ({"validation_steps": 60, "use_ema": True}, 5),
    ],
)
def test_the_share_of_videos_is_of_the_whole_run(options: dict[str, Any], videos: int) -> None:
    share = cost_of(basis_of(of_one(LARGE), validation_prompt="x", **options)).render_share
    videos_s = videos * 60 * VIDEO_S
    assert share == pytest.approx(videos_s / (videos_s + 100 * LARGE_S), rel=1e-4)


def test_nothing_is_told_of_a_model_whose_size_is_not_known() -> None:
    basis = basis_of(of_one(LARGE), size=None, validation_prompt="x")
    assert cost_outlook(basis, None) is None
    assert list(video_notes(basis, None)) == []


@pytest.mark.parametrize(
    ("options", "videos"),
    [
        # Of 100 steps, at 50 and 100, raw and averaged; the base once.
        ({"use_ema": True, "validation_steps": 50}, 5),
        ({"use_ema": True, "validation_steps": 50, "disable_benchmark": True}, 4),
        ({"validation_steps": 50}, 3),
        ({"validation_disable": True}, 0),
    ],
)
def test_the_whole_run_is_its_steps_and_the_videos_that_are_really_made(options: dict[str, Any], videos: int) -> None:
    (bound, _) = cost_of(basis_of(of_one(LARGE), validation_prompt="x", **options)).bounds
    assert bound.run_s == pytest.approx(100 * LARGE_S + videos * 60 * VIDEO_S, rel=1e-4)
    assert bound.evaluation_s == 0


def test_measuring_held_out_clips_takes_forward_passes_without_routing() -> None:
    options: dict[str, Any] = {
        "eval_steps_interval": 30,
        "eval_timesteps": 7,
        "use_ema": True,
        "validation_prompt": "x",
        "validation_steps": 0,
        "disable_benchmark": True,
        "ema_validation": "ema_only",
    }
    held_out = Manifest(of_one(SQUARE).trained, mixed_manifest().held_out)
    tread = {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]}
    plain, routed = (cost_of(basis_of(held_out, tread_config=config, **options)) for config in (None, tread))
    # Two large clips at seven levels with two kinds of weights, before the first step and after 30, 60, 90 and 100.
    assert plain.evaluation_tflop == routed.evaluation_tflop == pytest.approx(28 * (82.07 + 200.91), rel=1e-4)
    bound, once_s = plain.bounds[0], 28 * VIDEO_S
    assert bound.evaluation_s == pytest.approx(once_s, rel=1e-4)
    assert bound.run_s == pytest.approx(100 * bound.step_s + 60 * VIDEO_S + 5 * once_s, rel=1e-4)
    assert plain.render_share == pytest.approx(60 * VIDEO_S / bound.run_s, rel=1e-4)


def noted(**options: Any) -> list[str]:
    return [note.text for note in video_notes(basis_of(of_one(SQUARE), validation_prompt="x", **options), None)]


def test_videos_that_take_long_are_told_with_an_interval_that_takes_a_tenth() -> None:
    # A step takes 128.8 / 800 + 111.0 / 640 + 138.8 / 550 = 0.5866 s, a video of 832x480x81 60 * 0.4165 = 24.99 s.
    # In 10,000 steps, 101 videos are 30 %; a tenth are 5866 / 9 / 24.99 = 26.08, the base's among them: 25 others.
    assert noted(max_train_steps=10_000, validation_steps=100) == [
        "videos every 100 steps take about 30% of the time; validation_steps=400 would take 10%"
    ]
    # In 1,000 steps a tenth are 2.6 videos: one of the base, one at the end.
    assert noted(max_train_steps=1000, validation_steps=100) == [
        "videos every 100 steps take about 32% of the time; validation_steps=0, at the end alone, would take 8%"
    ]


def test_videos_that_take_little_or_cannot_be_fewer_are_not_told() -> None:
    assert noted(max_train_steps=10_000, validation_steps=500) == []
    assert noted(max_train_steps=10, validation_steps=100) == []
    assert noted(max_train_steps=10, validation_steps=0) == []
    assert noted(max_train_steps=1000, validation_steps=100, validation_disable=True) == []
