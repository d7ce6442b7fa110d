"""The outlook's disk space and GPU memory, and what it says of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.outlook import DiskNeed, MemoryNeed
from reeltune.estimate.sizes import SIZES
from reeltune.machine.gpu import Gpu
from reeltune.machine.host import free_bytes
from reeltune.run.outlook.advice import SMALLER, disk_shortages, memory_shortages
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.disk import disk_outlook
from reeltune.run.outlook.memory import memory_outlook
from reeltune.run.outlook.trained import trained_outlook
from unit.run.made_up import CAPTION, LARGE, SQUARE, basis_of, mixed_manifest, of_one

GB = 1e9
LARGE_BYTES, SQUARE_BYTES = 4 * 16 * 21 * 60 * 104, 4 * 16 * 19 * 60 * 60
"""Encoded clips: float32, 16 channels, latent frames, sides of an eighth."""

ADAPTER = 16 * 30 * 8 * (1536 + 1536)
"""Rank 16 on eight square layers of each of thirty blocks."""


def needs(basis: Basis) -> dict[str, int]:
    """Return what is still to be written, by what it is and the last part of its folder."""
    return {f"{need.what} in {Path(need.folder).name}": need.need_bytes for need in disk_outlook(basis)}


def test_disk_space_is_what_will_be_written(tmp_path: Path) -> None:
    basis = basis_of(mixed_manifest(), tmp_path, repeats=3, output_dir=str(tmp_path / "run"), checkpointing_steps=0)
    # Repeats are encoded once. "the same" has 2 tokens and 2, the other caption 6 and 2, the empty text 2.
    assert len(CAPTION) == 24
    assert needs(basis) == {
        "encoded clips in a": 3 * LARGE_BYTES,
        "encoded clips in b": 5 * SQUARE_BYTES,
        "encoded clips in h": 2 * LARGE_BYTES,
        "encoded captions in text": (4 + 8 + 2) * 4096 * 2,
        # The weights, in two further layouts, and Adam's two moments.
        "1 checkpoint in run": ADAPTER * (3 * 4 + 8),
    }
    (free,) = {need.free_bytes for need in disk_outlook(basis)}
    assert free == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_texts_of_videos_are_encoded_too_and_none_is_longer_than_the_model_reads(tmp_path: Path) -> None:
    options: dict[str, Any] = {"validation_prompt": "x" * 4000, "validation_negative_prompt": "y" * 40}
    texts = needs(basis_of(of_one(LARGE), tmp_path, **options))["encoded captions in text"]
    assert texts == (4 + 8 + 2 + 512 + 12) * 4096 * 2


def test_float32_texts_take_twice_the_room(tmp_path: Path) -> None:
    basis = basis_of(of_one(LARGE), tmp_path, mixed_precision="no")
    assert needs(basis)["encoded captions in text"] == 14 * 4096 * 4


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"checkpointing_steps": 30}, 4),
        ({"checkpointing_steps": 30, "checkpoints_total_limit": 2}, 3),
        ({"checkpointing_steps": 10, "checkpoints_total_limit": 1}, 2),
        ({"checkpointing_steps": 500}, 1),
    ],
)
def test_one_checkpoint_more_than_are_kept_is_there_for_a_while(
    tmp_path: Path, options: dict[str, Any], count: int
) -> None:
    basis = basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run"), **options)
    assert needs(basis)[f"{count} checkpoint{'s' * (count > 1)} in run"] == count * ADAPTER * 20


@pytest.mark.parametrize(
    ("options", "each"),
    [
        ({"optimizer": "optimi-lion"}, 3 * 4 + 4),
        ({"optimizer": "bnb-adamw8bit"}, 3 * 4 + 2),
        ({"use_ema": True}, 6 * 4 + 8),
    ],
)
def test_a_checkpoint_holds_states_and_averages(tmp_path: Path, options: dict[str, Any], each: int) -> None:
    basis = basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run"), **options)
    assert needs(basis)["1 checkpoint in run"] == ADAPTER * each


def test_what_lies_there_already_needs_no_room(tmp_path: Path) -> None:
    for name, size in (("vae/a/00/entry", 1000), ("run/checkpoint-10/state", 300), ("run/validation/old.mp4", 7)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(bytes(size))
    basis = basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run"))
    assert needs(basis)["encoded clips in a"] == LARGE_BYTES - 1000
    assert needs(basis)["encoded clips in b"] == 0
    # Videos of an earlier run make no room for checkpoints, and a run that starts afresh keeps the old ones.
    assert needs(basis)["1 checkpoint in run"] == ADAPTER * 20 - 300
    afresh = basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run"), resume_from_checkpoint="")
    assert needs(afresh)["1 checkpoint in run"] == ADAPTER * 20


def stages(basis: Basis) -> dict[str, MemoryNeed]:
    return {need.stage: need for need in memory_outlook(basis)}


@pytest.mark.parametrize(("size", "base", "saved", "block"), [("1.3B", 2.84, 3.02, 4.56), ("14B", 28.6, 13.4, 11.6)])
def test_training_takes_base_adapter_and_activations(size: str, base: float, saved: float, block: float) -> None:
    need = stages(basis_of(of_one(LARGE), size=SIZES[size], train_batch_size=2, use_ema=True))["training"]
    parts = {name: part / GB for name, part in need.parts}
    assert parts["base model"] == pytest.approx(base, rel=0.005)
    assert parts["saved activations"] == pytest.approx(2 * saved, rel=0.005)
    assert parts["block at work"] == pytest.approx(2 * block, rel=0.005)
    # Weight, gradient, Adam's two moments and the average: five float32 numbers for each trained weight.
    adapter = ADAPTER if size == "1.3B" else 16 * 40 * 8 * (5120 + 5120)
    assert dict(need.parts)["trained weights, gradients, optimizer"] == adapter * 20
    assert need.need_bytes == sum(part for _, part in need.parts)


@pytest.mark.parametrize(
    ("options", "bytes_a_weight"),
    [({}, 2.0), ({"mixed_precision": "no"}, 4.0), ({"base_model_precision": "int8-quanto"}, 1.02)],
)
def test_the_base_weighs_what_its_precision_says(options: dict[str, Any], bytes_a_weight: float) -> None:
    parts = dict(stages(basis_of(of_one(SQUARE), **options))["training"].parts)
    assert parts["base model"] / 1.419e9 == pytest.approx(bytes_a_weight, rel=0.01)


def test_stages_follow_the_options() -> None:
    plain = stages(basis_of(mixed_manifest()))
    assert list(plain) == ["text encoding", "video encoding", "training"]
    assert dict(plain["text encoding"].parts)["text encoder"] / GB == pytest.approx(11.36, abs=0.01)
    # The largest shape decides, not the most frequent one.
    assert plain["video encoding"] == stages(basis_of(of_one(LARGE)))["video encoding"]
    small = stages(basis_of(of_one(LARGE), text_encoder_1_precision="int8-quanto", gradient_checkpointing=False))
    assert dict(small["text encoding"].parts)["text encoder"] / GB == pytest.approx(5.68, abs=0.01)
    assert "block at work" not in dict(small["training"].parts)
    videos = stages(basis_of(of_one(SQUARE), validation_prompt="x", validation_resolution="480x480,832x480"))
    larger = stages(basis_of(of_one(SQUARE), validation_prompt="x", validation_resolution="832x480"))
    assert videos["rendering"] == larger["rendering"]


def test_of_a_model_with_other_encoders_only_training_is_told() -> None:
    tiny = Dimensions(layers=2, heads=2, head_width=16, ffn=64, text_width=32)
    assert list(stages(basis_of(of_one(SQUARE), size=tiny, validation_prompt="x"))) == ["training"]
    assert memory_outlook(basis_of(of_one(SQUARE), size=None)) == ()


def test_what_is_trained_is_told_in_words() -> None:
    trained = trained_outlook(basis_of(of_one(LARGE), use_ema=True, ema_update_interval=5, lora_rank=8))
    assert (trained.kind, trained.modules, trained.parameters) == ("LoRA, rank 8, alpha 8", 240, ADAPTER // 2)
    assert (trained.base_parameters, trained.quantized) == (1_418_996_800, "")
    assert trained.average == "EMA, decay up to 0.995, updated every 5 steps"
    quantized = trained_outlook(basis_of(of_one(LARGE), base_model_precision="int8-torchao", lora_alpha=4.0))
    assert quantized.kind == "LoRA, rank 16, alpha 4"
    assert quantized.quantized == "attention and feed-forward weights of all blocks, int8-torchao (98% of the weights)"
    unknown = trained_outlook(basis_of(of_one(LARGE), size=None))
    assert (unknown.modules, unknown.parameters, unknown.base_parameters) == (None, None, None)


def test_folders_of_one_disk_are_added_before_they_are_compared() -> None:
    together = [DiskNeed("encoded clips", "a", 6 * 10**9, 10**10), DiskNeed("3 checkpoints", "b", 5 * 10**9, 10**10)]
    (note,) = disk_shortages(together)
    assert (note.kind, note.about) == ("trap", "disk space")
    assert note.text.startswith("11.0 GB are needed and 10.0 GB are free for encoded clips in a, 3 checkpoints in b; ")
    apart = [together[0], DiskNeed("3 checkpoints", "b", 5 * 10**9, 6 * 10**9)]
    assert list(disk_shortages(apart)) == []
    assert list(disk_shortages([])) == []


@pytest.mark.parametrize("size", ["1.3B", "14B"])
def test_a_stage_that_the_gpu_cannot_hold_is_told_with_what_makes_it_smaller(size: str) -> None:
    basis = basis_of(of_one(LARGE), size=SIZES[size], validation_prompt="x")
    card = Gpu("NVIDIA GeForce RTX 4090", 24 * 2**30, 20 * 2**30, "550.1", 0)
    notes = list(memory_shortages(memory_outlook(basis), card))
    lacking = {need.stage for need in memory_outlook(basis) if need.need_bytes > card.memory_bytes}
    # The 14B base alone has 28.6 GB.
    assert lacking == ({"training", "rendering"} if size == "14B" else set())
    assert len(notes) == len(lacking)
    for note in notes:
        assert (note.kind, note.about) == ("trap", "GPU memory")
        assert "and the NVIDIA GeForce RTX 4090 has 25.8 GB; less with " in note.text
        assert "base_model_precision=int8-quanto" in note.text
    assert list(memory_shortages(memory_outlook(basis), None)) == []


def test_every_stage_has_something_that_makes_it_smaller() -> None:
    assert list(SMALLER) == list(stages(basis_of(of_one(LARGE), validation_prompt="x")))
