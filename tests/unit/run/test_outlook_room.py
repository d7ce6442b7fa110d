"""The outlook's disk space and GPU memory, and what would make them smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from torch import nn

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.outlook import MemoryNeed
from reeltune.contracts.trained import Trained
from reeltune.estimate.sizes import SIZES
from reeltune.machine.host import free_bytes
from reeltune.run import assemble
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.disk import disk_outlook
from reeltune.run.outlook.memory import LESS, memory_outlook
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
    basis = basis_of(
        mixed_manifest(),
        tmp_path,
        repeats=3,
        output_dir=str(tmp_path / "run"),
        checkpointing_steps=0,
        eval_steps_interval=10,
    )
    # Repeats are encoded once. "the same" has 2 tokens and 2, the other caption 6 and 2, the empty text 2.
    assert len(CAPTION) == 24
    assert needs(basis) == {
        "encoded clips in a": 3 * LARGE_BYTES,
        "encoded clips in b": 5 * SQUARE_BYTES,
        "encoded clips in h": 2 * LARGE_BYTES,
        "encoded captions in text": (4 + 8 + 2) * 4096 * 2,
        # The weights, in two further layouts, and Adam's two moments; beside the last one the best, old and new.
        "3 checkpoints, 2 of them for the best step in run": 3 * ADAPTER * (3 * 4 + 8),
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
    # The last checkpoint comes beside the one that is there; a run that starts afresh moves that aside.
    assert needs(basis)["1 checkpoint in run"] == ADAPTER * 20
    options: dict[str, Any] = {"output_dir": str(tmp_path / "run"), "checkpoints_total_limit": 2}
    often = basis_of(of_one(LARGE), tmp_path, checkpointing_steps=10, **options)
    assert needs(often)["2 checkpoints in run"] == 2 * ADAPTER * 20
    afresh = basis_of(of_one(LARGE), tmp_path, checkpointing_steps=10, resume_from_checkpoint="", **options)
    assert needs(afresh)["3 checkpoints in run"] == 3 * ADAPTER * 20


def test_a_run_that_is_done_writes_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run/checkpoint-100").mkdir(parents=True)
    done = needs(basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run")))
    assert not [name for name in done if "checkpoint" in name]


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
    # Its table of the vocabulary stays in two bytes.
    assert dict(small["text encoding"].parts)["text encoder"] / GB == pytest.approx(6.73, abs=0.01)
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
    assert (trained.kind, trained.layers, trained.parameters) == ("LoRA, rank 8, alpha 8", 240, ADAPTER // 2)
    assert (trained.base_parameters, trained.quantized) == (1_418_996_800, "")
    assert trained.average == "EMA, decay up to 0.995, updated every 5 steps"
    quantized = trained_outlook(basis_of(of_one(LARGE), base_model_precision="int8-torchao", lora_alpha=4.0))
    assert quantized.kind == "LoRA, rank 16, alpha 4"
    assert quantized.quantized == "attention and feed-forward weights of all blocks, int8-torchao (98% of the weights)"
    unknown = trained_outlook(basis_of(of_one(LARGE), size=None))
    assert (unknown.layers, unknown.parameters, unknown.base_parameters) == (None, None, None)


def test_a_stage_is_told_with_what_makes_it_smaller_and_is_not_done_already() -> None:
    plain = stages(basis_of(of_one(LARGE), validation_prompt="x"))
    assert list(plain) == list(LESS)
    assert {stage: need.less_with for stage, need in plain.items()} == {
        "text encoding": "text_encoder_1_precision=int8-quanto",
        "video encoding": "resolution, video.num_frames",
        "training": "resolution, video.num_frames, base_model_precision=int8-quanto",
        "rendering": "validation_resolution, validation_num_video_frames, base_model_precision=int8-quanto",
    }
    options: dict[str, Any] = {
        "text_encoder_1_precision": "int8-quanto",
        "base_model_precision": "int8-quanto",
        "offload_during_startup": False,
        "gradient_checkpointing": False,
        "train_batch_size": 2,
    }
    other = stages(basis_of(of_one(LARGE), **options))
    assert other["text encoding"].less_with == ""
    assert other["training"].less_with == (
        "offload_during_startup=true, gradient_checkpointing=true, train_batch_size, resolution, video.num_frames"
    )


def test_what_makes_a_stage_smaller_is_an_option_and_does() -> None:
    """Each remedy, taken, leaves the stage with less."""
    large: dict[str, Any] = {
        "offload_during_startup": False,
        "gradient_checkpointing": False,
        "train_batch_size": 2,
        "validation_prompt": "x",
        "validation_resolution": "832x480",
    }
    taken: dict[str, Any] = {
        "train_batch_size": 1,
        "validation_resolution": "480x480",
        "validation_num_video_frames": 17,
    }
    needed = {"gradient_checkpointing_interval": {"gradient_checkpointing": True, "gradient_checkpointing_interval": 4}}
    for stage, remedies in LESS.items():
        for name, _, value in (remedy.partition("=") for remedy in remedies):
            # The clips themselves decide the shape here.
            if name in ("resolution", "video.num_frames"):
                continue
            changed: dict[str, Any] = {name: {"true": True, "1": 1}.get(value, value) if value else taken[name]}
            without = large | needed.get(name, {})
            before = stages(basis_of(of_one(LARGE), **without))
            after = stages(basis_of(of_one(LARGE), **without | changed))
            assert after[stage].need_bytes < before[stage].need_bytes, (stage, name)


def test_what_is_not_offloaded_stays_beside_everything_that_follows() -> None:
    options: dict[str, Any] = {"validation_prompt": "x"}
    freed = stages(basis_of(of_one(LARGE), **options))
    kept = stages(basis_of(of_one(LARGE), offload_during_startup=False, **options))
    text_encoder, autoencoder = ("text encoder kept", 2 * 5_680_910_336), ("autoencoder kept", 4 * 126_892_531)
    more = {stage: set(kept[stage].parts) - set(freed[stage].parts) for stage in freed}
    assert more == {
        "text encoding": set(),
        "video encoding": {text_encoder},
        "training": {text_encoder, autoencoder},
        # The autoencoder is at work there, and counts once.
        "rendering": {text_encoder},
    }
    quantized = stages(basis_of(of_one(LARGE), offload_during_startup=False, text_encoder_1_precision="int8-quanto"))
    assert dict(quantized["training"].parts)["text encoder kept"] == 5_680_910_336 + 256_384 * 4096


def test_the_start_of_a_run_asks_for_the_room_that_the_plan_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Mock(spec=Trained)
    trained.trainable.return_value = {"all": nn.Linear(1, ADAPTER, bias=False, device="meta").weight}
    asked: list[tuple[Path, int, str]] = []
    monkeypatch.setattr(assemble, "require_room", lambda *words: asked.append(words))
    (tmp_path / "run/checkpoint-40").mkdir(parents=True)
    for every in (0, 30, 10):
        basis = basis_of(of_one(LARGE), tmp_path, output_dir=str(tmp_path / "run"), checkpointing_steps=every)
        assemble._require_room(basis.config, basis.plan, trained)
        told = disk_outlook(basis)[-1]
        assert asked[-1] == (Path(told.folder), told.need_bytes, told.what)
    assert [what for _, _, what in asked] == ["1 checkpoint", "3 checkpoints", "5 checkpoints"]
