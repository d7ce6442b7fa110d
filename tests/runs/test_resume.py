"""A killed run goes on as if it had never been killed: bit for bit."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.cli import reeltune, reeltune_here, start_reeltune
from helpers.tiny import TinyRun, copy_prepared

WORDS = (
    *("train", "--example", "tiny", "max_train_steps=20", "checkpointing_steps=5", "checkpoints_total_limit=4"),
    *("validation_steps=10", "ema_validation=none", "validation_num_inference_steps=2", "lora_dropout=0.1"),
    *("gradient_accumulation_steps=2", "ema_update_interval=2", "validation_resolution=64x64"),
)


@pytest.fixture(scope="module")
def unbroken(finished: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Twenty steps in one go."""
    run = copy_prepared(finished.place, tmp_path_factory.mktemp("unbroken"))
    ending = reeltune_here(*WORDS, cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    return run


def wait_for(path: Path, *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def assert_same(run: TinyRun, other: TinyRun) -> None:
    """Compare every loss, and every tensor of the last checkpoint: adapter, average, optimizer."""
    assert run.losses() == other.losses()
    assert len(run.losses()) == 20
    last, others_last = (each.events("StepDone")[-1] for each in (run, other))
    # Running means over all steps: a run that goes on takes those before it from the journal.
    assert last["loss_by_sigma"] == others_last["loss_by_sigma"]
    for name in ("trainable", "ema", "optimizer", "pytorch_lora_weights", "ema/pytorch_lora_weights"):
        one, two = (load_file(each.folder / f"checkpoint-20/{name}.safetensors") for each in (run, other))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name


def test_killed_after_step_ten_and_continued(unbroken: TinyRun, finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    process = start_reeltune(*WORDS, cwd=run.place, log=tmp_path / "log")
    wait_for(run.folder / "checkpoint-10")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run.folder / "checkpoint-20").exists()
    outcome = reeltune(*WORDS, cwd=run.place)
    assert outcome.returncode == 0, outcome.stderr
    assert "continuing from" in outcome.stderr
    assert [event["step"] for event in run.events("RunStarted")] in ([0, 10], [0, 15])
    assert_same(run, unbroken)


def test_stopped_politely_and_continued(unbroken: TinyRun, finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    process = start_reeltune(*WORDS, cwd=run.place, log=tmp_path / "log")
    wait_for(run.folder / "checkpoint-5")
    process.terminate()
    assert process.wait(60) == 0
    assert "Stopped on request after step" in (tmp_path / "log").read_text()
    ending = reeltune_here(*WORDS, cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    assert_same(run, unbroken)


def test_a_fresh_start_moves_the_earlier_run_aside(unbroken: TinyRun, finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    short = (*WORDS, "max_train_steps=2", "validation_prompt=")
    for words in (short, (*short, "resume_from_checkpoint=")):
        ending = reeltune_here(*words, cwd=run.place)
        assert ending.returncode == 0, ending.stderr
    assert (run.folder / "checkpoint-2").is_dir()
    assert (run.place / "output/tiny/tiny-lora.1/checkpoint-2").is_dir()
    assert [event["step"] for event in run.events("RunStarted")] == [0]


def test_going_on_from_an_older_checkpoint_keeps_the_later_ones_under_another_name(
    finished: TinyRun, tmp_path: Path
) -> None:
    run = copy_prepared(finished.place, tmp_path)
    words = (*WORDS, "max_train_steps=6", "checkpointing_steps=2", "validation_prompt=")
    for more in ((), ("resume_from_checkpoint=checkpoint-2", "max_train_steps=4")):
        ending = reeltune_here(*words, *more, cwd=run.place)
        assert ending.returncode == 0, ending.stderr
    names = sorted(path.name for path in run.folder.glob("*checkpoint-*"))
    assert names == ["checkpoint-2", "checkpoint-4", "superseded-checkpoint-4", "superseded-checkpoint-6"]
