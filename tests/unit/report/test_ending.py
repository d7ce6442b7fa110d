from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from reeltune.contracts.outcome import Outcome
from reeltune.report.ending import last_screen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run's folder, with all that may lie about in one."""
    folder = tmp_path / "run"
    for step in (90, 100, 1000):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
    for other in ("superseded-checkpoint-2000", ".checkpoint-3000.writing", "checkpoint-4000.old"):
        (folder / other).mkdir()
    for name in ("pytorch_lora_weights.safetensors", "comfyui/run.safetensors"):
        write(folder / name, size=23_400_000)
    for name in ("manifest.jsonl", "events.jsonl"):
        write(folder / name)
    for age, name in enumerate((".step-3000.mp4", "step-1000.mp4", "step-0100.mp4")):
        write(folder / "validation" / name)
        os.utime(folder / "validation" / name, (1e9 - age, 1e9 - age))
    return folder


def write(path: Path, *, size: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def outcome(folder: Path) -> Outcome:
    return Outcome(folder, folder / "pytorch_lora_weights.safetensors", step=1000, total_steps=1000)


def test_the_screen_of_a_finished_run(folder: Path) -> None:
    assert last_screen(outcome(folder), "reeltune train").replace(str(folder), "run").replace(
        folder.as_posix(), "run"
    ) == (
        """
Finished: 1000 steps.
  adapter for diffusers:  run/pytorch_lora_weights.safetensors (23.4 MB)
  adapter for ComfyUI:    run/comfyui/run.safetensors (23.4 MB)
  newest video:           run/validation/step-1000.mp4
  newest checkpoint:      run/checkpoint-1000 (2 older)
  each clip, used or not: run/manifest.jsonl
  losses and events:      run/events.jsonl

Next:
  look:                   watch the video
  train on:               reeltune train max_train_steps=2000
  use it in diffusers:    pipeline.load_lora_weights("run")
  use it in ComfyUI:      copy the adapter for ComfyUI to models/loras there"""
    )


def test_a_hidden_draft_is_no_video(folder: Path) -> None:
    for path in (folder / "validation").glob("step-*.mp4"):
        path.unlink()
    assert "video" not in last_screen(outcome(folder), "reeltune train")


def test_a_run_that_left_little_names_only_that(tmp_path: Path) -> None:
    assert last_screen(Outcome(tmp_path, tmp_path / "none.safetensors", step=0, total_steps=1), "reeltune train") == (
        "\nStopped on request after step 0 of 1; everything is saved.\n\n"
        "Next:\n  go on:                  reeltune train"
    )


def test_a_run_measured_in_epochs_is_told_of_epochs(folder: Path) -> None:
    by_epochs = dataclasses.replace(outcome(folder), length_option="num_train_epochs", length=5)
    assert "reeltune train num_train_epochs=10\n" in last_screen(by_epochs, "reeltune train")
    assert "max_train_steps" not in last_screen(by_epochs, "reeltune train")


def test_a_stopped_run_is_told_to_go_on(folder: Path) -> None:
    screen = last_screen(dataclasses.replace(outcome(folder), step=400), "reeltune train")
    assert "Stopped on request after step 400 of 1000" in screen
    assert "reeltune train\n" in screen
    assert "max_train_steps" not in screen


def test_a_single_step_is_one_step(folder: Path) -> None:
    one = dataclasses.replace(outcome(folder), step=1, total_steps=1)
    assert "Finished: 1 step.\n" in last_screen(one, "reeltune train")
    assert "Nothing to do: the one step is done." in last_screen(
        dataclasses.replace(one, nothing_to_do=True), "reeltune train"
    )
