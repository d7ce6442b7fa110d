"""Nothing that is done beside training changes a number of it: one run with all of it is a run with none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.cli import reeltune_here
from helpers.tiny import TinyRun, copy_prepared

WORDS = (
    *("train", "--example", "tiny", "data_backend_config=data.json", "max_train_steps=2", "checkpointing_steps=2"),
    *("lora_dropout=0.1", "validation_num_inference_steps=1", "disable_benchmark=true", "num_eval_images=1"),
    *("validation_resolution=64x64", "ema_validation=none", "eval_timesteps=2"),
)
NOTHING = ("validation_prompt=", "weight_change_interval=0")
EVERYTHING = (
    *("--verbose", "eval_steps_interval=1", "validation_steps=1", "weight_change_interval=1", "report_to=csv"),
    *("resume_from_checkpoint=",),
)


def prepare(run: TinyRun) -> None:
    """Describe the example's clips, and one of them as held out."""
    clip = sorted((run.place / "output/tiny/clips").glob("*.mp4"))[0]
    (run.place / "held").mkdir()
    for file in (clip, clip.with_suffix(".txt")):
        shutil.copy(file, run.place / "held")
    clips: dict[str, Any] = {"video": {"num_frames": 17}}
    entries = [
        clips | {"id": "cartoons", "dataset_type": "video", "instance_data_dir": "output/tiny/clips"},
        clips | {"id": "held", "dataset_type": "eval", "instance_data_dir": "held"},
        {"id": "text-embeds", "dataset_type": "text_embeds"},
    ]
    for entry, cache in zip(entries, ("output/tiny/cache/vae", "cache/held", "output/tiny/cache/text"), strict=True):
        entry["cache_dir" if entry["dataset_type"] == "text_embeds" else "cache_dir_vae"] = cache
    (run.place / "data.json").write_text(json.dumps(entries), encoding="utf-8")


def test_the_trace_of_losses_is_that_of_training_alone(
    finished: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation, rendering, log level, sizes of changes, cold caches, reader threads: all at once, or none."""
    run = copy_prepared(finished.place, tmp_path)
    prepare(run)
    ending = reeltune_here(*WORDS, *NOTHING, cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    losses, samples = run.losses(), [(event["sigmas"], event["losses"]) for event in run.events("StepDone")]
    weights = load_file(run.folder / "checkpoint-2/trainable.safetensors")
    assert not [event for kind in ("Evaluated", "SampleRendered") for event in run.events(kind)]

    shutil.rmtree(run.place / "output/tiny/cache")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    ending = reeltune_here(*WORDS, *EVERYTHING, cwd=run.place)
    assert ending.returncode == 0, ending.stderr
    assert {event["step"] for event in run.events("Evaluated")} >= {1, 2}
    assert {event["step"] for event in run.events("SampleRendered")} >= {1, 2}
    assert all(event["weight_change"] for event in run.events("StepDone"))
    assert "DEBUG" in ending.stderr
    assert run.losses() == losses
    assert [(event["sigmas"], event["losses"]) for event in run.events("StepDone")] == samples
    again = load_file(run.folder / "checkpoint-2/trainable.safetensors")
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert again.keys() == weights.keys()
