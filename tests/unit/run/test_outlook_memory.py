"""GPU memory in the outlook of a run that trains the whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.contracts.outlook import MemoryNeed
from reeltune.estimate.sizes import SIZES
from reeltune.run.checkpoint_room import checkpoint_room
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.memory import memory_outlook
from unit.run.made_up import LARGE, basis_of, config_of, of_one

GB = 1e9
TRAINED = "trained weights, gradients, optimizer"


def stages(basis: Basis) -> dict[str, MemoryNeed]:
    return {need.stage: need for need in memory_outlook(basis)}


@pytest.mark.parametrize(
    ("options", "base", "trained"),
    [
        # Per weight: bfloat16; master, gradient and Adam's two moments.
        ({}, 28.6, 228.5),
        ({"use_ema": True}, 28.6, 228.5 + 57.2),
        ({"optimizer": "optimi-lion"}, 28.6, 228.5 - 57.2),
        # The weights are what is trained: only gradient and moments come on top.
        ({"mixed_precision": "no"}, 57.2, 228.6 - 57.2),
    ],
    ids=["AdamW", "average", "Lion", "float32"],
)
def test_a_whole_model_in_training_takes_masters_gradients_and_states(
    options: dict[str, Any], base: float, trained: float
) -> None:
    basis = basis_of(of_one(LARGE), size=SIZES["14B"], model_type="full", **options)
    parts = dict(stages(basis)["training"].parts)
    assert parts["base model"] / GB == pytest.approx(base, abs=0.1)
    assert parts[TRAINED] / GB == pytest.approx(trained, abs=0.2)


def test_a_whole_model_in_training_holds_more_of_each_block() -> None:
    adapter, full = (
        dict(stages(basis_of(of_one(LARGE), model_type=kind))["training"].parts) for kind in ("lora", "full")
    )
    assert full["saved activations"] == adapter["saved activations"]
    # 32,760 tokens of 73 d + 4 f bytes, where an adapter has 51 d + 6.8 f.
    assert full["block at work"] == 32_760 * (73 * 1536 + 4 * 8960)
    assert full["block at work"] > adapter["block at work"]
    plain = dict(stages(basis_of(of_one(LARGE), model_type="full", gradient_checkpointing=False))["training"].parts)
    assert plain["saved activations"] == 30 * 32_760 * (68 * 1536 + 4 * 8960)


@pytest.mark.parametrize(("mixed_precision", "each"), [("bf16", 4 + 8 + 2 * 2), ("no", 4 + 8 + 2 * 4)])
def test_a_checkpoint_of_a_whole_model_holds_it_as_it_computes_twice(
    tmp_path: Path, mixed_precision: str, each: int
) -> None:
    config = config_of(model_type="full", mixed_precision=mixed_precision, output_dir=str(tmp_path / "run"))
    room = checkpoint_room(config, weights=1_418_996_800, total_steps=100)
    assert room.size_bytes == room.count * 1_418_996_800 * each


@pytest.mark.parametrize(("every", "best"), [(0, 0), (20, 1), (15, 2)])
def test_the_best_step_needs_room_beside_the_checkpoints_kept(tmp_path: Path, every: int, best: int) -> None:
    options: dict[str, Any] = {"checkpointing_steps": 10, "checkpoints_total_limit": 2}
    config = config_of(**options, eval_steps_interval=every, output_dir=str(tmp_path / "run"))
    room = checkpoint_room(config, weights=1000, total_steps=100)
    # Two are kept, and a third while the oldest is still there; where the best shares the files of a checkpoint, only
    # the older best one is without a twin.
    assert (room.count, room.best) == (3 + best, best)
    assert str(room) == {0: "3 checkpoints", 1: "4 checkpoints, 1 of them for the best step"}.get(
        best, "5 checkpoints, 2 of them for the best step"
    )
