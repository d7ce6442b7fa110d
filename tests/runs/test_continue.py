"""Going on with a run: after accidents at bad moments, under other options, with damaged clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.cli import Ending, reeltune_here
from helpers.tiny import TinyRun, copy_prepared
from reeltune.train.loop import Loop

SHORT = ("train", "--example", "tiny", "max_train_steps=2", "checkpointing_steps=2", "validation_prompt=")


@pytest.fixture
def run(finished: TinyRun, tmp_path: Path) -> TinyRun:
    """A working directory with everything encoded and no run yet."""
    return copy_prepared(finished.place, tmp_path)


def go(run: TinyRun, *words: str, status: int = 0) -> Ending:
    ending = reeltune_here(*SHORT, *words, cwd=run.place)
    assert ending.returncode == status, ending.stderr
    return ending


def published(run: TinyRun) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "pytorch_lora_weights.safetensors")


def saved(run: TinyRun, step: int) -> dict[str, torch.Tensor]:
    return load_file(run.folder / f"checkpoint-{step}/pytorch_lora_weights.safetensors")


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_death_between_saving_and_publishing_is_made_good(run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    go(run)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "publish", lambda loop: (_ for _ in ()).throw(KeyboardInterrupt))
        go(run, "max_train_steps=4", status=1)
    assert equal(published(run), saved(run, 2))
    assert not equal(saved(run, 2), saved(run, 4))
    go(run, "max_train_steps=4")
    assert equal(published(run), saved(run, 4))


def test_a_death_before_the_last_video_is_made_good(run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("validation_prompt=a white circle", "validation_num_inference_steps=1", "ema_validation=none")
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "render", lambda loop, renders: (_ for _ in ()).throw(KeyboardInterrupt))
        go(run, *words, status=1)
    go(run, *words)
    assert (run.folder / "validation/step-000002-validation-raw.mp4").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("lora_rank=4", "lora_rank was 8 and is now 4: the saved adapter has another size"),
        ("lora_alpha=2", "lora_alpha was None and is now 2.0: the saved weights would count"),
        ("optimizer=torch-adamw", "the saved state belongs to the other optimizer"),
    ],
)
def test_what_cannot_change_under_way_is_refused_and_nothing_is_touched(run: TinyRun, change: str, reason: str) -> None:
    go(run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    ending = go(run, "max_train_steps=3", change, status=2)
    assert "checkpoint-2 cannot be continued: 1 problem" in ending.stderr
    assert reason in ending.stderr
    assert 'resume_from_checkpoint=""' in ending.stderr
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_what_can_change_is_shown_as_old_and_new(run: TinyRun) -> None:
    go(run)
    ending = go(run, "max_train_steps=3", "learning_rate=1e-5")
    assert "changed since the checkpoint: learning_rate: 0.001 -> 1e-05" in ending.stderr
    assert "changed since the checkpoint: max_train_steps: 2 -> 3" in ending.stderr
    assert "clips or captions have changed" not in ending.stderr


def test_changed_data_is_said(run: TinyRun) -> None:
    go(run)
    next(iter(sorted((run.place / "output/tiny/clips").glob("*.mp4")))).unlink()
    assert "clips or captions have changed since the checkpoint" in go(run, "max_train_steps=3").stderr


def test_a_clip_that_breaks_while_decoding_is_left_out_and_said(run: TinyRun) -> None:
    clip = sorted((run.place / "output/tiny/clips").glob("*.mp4"))[3]
    data = bytearray(clip.read_bytes())
    # Behind the first picture, which is decoded when the clip is looked at; no decoder can read a stretch of zeros.
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 400] = bytes(400)
    clip.write_bytes(data)
    ending = go(run)
    assert f"left out: {clip.relative_to(run.place)}" in ending.stderr
    rows = [json.loads(line) for line in (run.folder / "manifest.jsonl").read_text().splitlines()]
    (row,) = [row for row in rows if not row["used"]]
    assert row["path"].endswith(clip.name)
    assert row["reason"].startswith("unreadable: ")
    assert len(rows) == 24


def test_a_disk_that_fills_while_encoding_leaves_nothing_half_written(
    tiny_example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_prepared(tiny_example, tmp_path)
    for path in (run.place / "output/tiny").glob("cache"):
        path.rename(tmp_path / "elsewhere")
    write, written = Path.write_bytes, []

    def full_after_five(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 5:
            write(self, data[:10])
            raise OSError(28, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_after_five)
    ending = go(run, status=2)
    assert "No space left on device" in ending.stderr
    assert "Make room" in ending.stderr
    assert not [path for path in (run.place / "output/tiny/cache").rglob(".*")]
    assert not run.folder.exists()


def test_a_fresh_start_that_is_refused_leaves_the_earlier_run_in_its_place(run: TinyRun) -> None:
    go(run)
    go(run, "resume_from_checkpoint=", "pretrained_vae_model_name_or_path=no-one/vae", status=2)
    assert (run.folder / "checkpoint-2").is_dir()
    assert not run.folder.with_name("tiny-lora.1").exists()


def test_two_runs_cannot_write_to_one_folder(run: TinyRun) -> None:
    from reeltune.run.folder import held

    with held(run.folder):
        assert "another run is writing to" in go(run, status=2).stderr
    go(run)


def test_bfloat16_with_checkpointing_dropout_and_videos(run: TinyRun) -> None:
    words = ("mixed_precision=bf16", "gradient_checkpointing=true", "lora_dropout=0.2", "gradient_accumulation_steps=2")
    video = ("validation_prompt=a white circle", "validation_num_inference_steps=2", "validation_steps=1")
    ending = go(run, *words, *video)
    assert "Warning" not in ending.stderr
    assert len(list((run.folder / "validation").glob("step-*.mp4"))) == 4
    assert {tensor.dtype for tensor in published(run).values()} == {torch.float32}


def test_an_epoch_count_ends_the_run(run: TinyRun) -> None:
    ending = go(run, "max_train_steps=0", "num_train_epochs=1", "train_batch_size=8")
    assert "= 1.0 passes over 24 clips (5 batches a pass)" in ending.stderr
    assert (run.folder / "checkpoint-5").is_dir()
