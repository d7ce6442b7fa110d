"""Held-out clips in a whole run: measured, never trained, and of no influence."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.cli import Ending, reeltune_here
from helpers.tiny import TinyRun, copy_prepared

WORDS = (
    *("train", "--example", "tiny", "data_backend_config=data.json", "validation_prompt=", "checkpointing_steps=3"),
    *("max_train_steps=3", "lora_dropout=0.1", "report_to=csv", "eval_timesteps=3", "num_eval_images=2"),
)


def dataset(name: str, kind: str, folder: str, cache: str) -> dict[str, Any]:
    return {
        "id": name,
        "dataset_type": kind,
        "instance_data_dir": folder,
        "cache_dir_vae": cache,
        "video": {"num_frames": 17},
    }


@pytest.fixture
def run(finished: TinyRun, tmp_path: Path) -> TinyRun:
    """A working directory with two datasets of held-out clips: three of one, one of the other."""
    run = copy_prepared(finished.place, tmp_path)
    clips = sorted((run.place / "output/tiny/clips").glob("*.mp4"))
    for name, chosen in {"held": clips[:3], "more": clips[3:4]}.items():
        (run.place / name).mkdir()
        for clip in chosen:
            for file in (clip, clip.with_suffix(".txt")):
                shutil.copy(file, run.place / name)
    entries = [
        dataset("held", "eval", "held", "cache/held"),
        dataset("cartoons", "video", "output/tiny/clips", "output/tiny/cache/vae"),
        dataset("more", "eval", "more", "cache/more"),
        {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "output/tiny/cache/text"},
    ]
    (run.place / "data.json").write_text(json.dumps(entries), encoding="utf-8")
    return run


def go(run: TinyRun, *words: str, status: int = 0) -> Ending:
    ending = reeltune_here(*WORDS, *words, cwd=run.place)
    assert ending.returncode == status, ending.stderr
    return ending


def measured(run: TinyRun) -> dict[tuple[int, str, str], float]:
    return {(event["step"], event["dataset"], event["weights"]): event["loss"] for event in run.events("Evaluated")}


def test_a_run_measures_what_it_holds_out_and_trains_the_same_numbers(run: TinyRun) -> None:
    words = ("eval_steps_interval=2",)
    ending = go(run, *words)
    kinds = [(name, weights) for weights in ("raw", "ema") for name in ("held", "more")]
    first = measured(run)
    assert list(first) == [(step, *kind) for step in (0, 2, 3) for kind in kinds]
    assert first[0, "held", "raw"] == first[0, "held", "ema"]
    assert f"step 2: held-out loss {first[2, 'held', 'raw']:.4f} ± " in ending.stderr
    lines = [json.loads(line) for line in (run.folder / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["step"], line["dataset"], line["weights"]) for line in lines] == list(first)
    means = [fmean(loss for clip in line["clips"] for _, loss in clip["losses"]) for line in lines]
    assert means == list(first.values())
    pooled = {step: (2 * first[step, "held", "raw"] + first[step, "more", "raw"]) / 3 for step in (2, 3)}
    state = json.loads((run.folder / "best/state.json").read_text(encoding="utf-8"))
    assert state["step"] == min(pooled, key=lambda step: pooled[step])
    assert {len(event["curve"]) for event in run.events("Evaluated")} == {3}
    with (run.folder / "evaluation.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows if row["name"] == "loss/val/held"] == [
        first[step, "held", "raw"] for step in (0, 2, 3)
    ]
    weights, losses = load_file(run.folder / "checkpoint-3/trainable.safetensors"), run.losses()

    # Once more from the start: the same measurements; and without any, the same training.
    go(run, *words, "resume_from_checkpoint=")
    assert measured(run) == first
    go(run, "resume_from_checkpoint=")
    assert measured(run) == {}
    assert run.losses() == losses
    plain = load_file(run.folder / "checkpoint-3/trainable.safetensors")
    assert all(torch.equal(plain[name], weights[name]) for name in weights)


@pytest.mark.slow
def test_a_run_that_goes_on_measures_on_and_one_dataset_alone_has_the_same_noise(run: TinyRun) -> None:
    go(run, "eval_steps_interval=2", "max_train_steps=6")
    whole, record = measured(run), (run.folder / "evaluation.jsonl").read_bytes()
    go(run, "eval_steps_interval=2", "max_train_steps=6", "resume_from_checkpoint=checkpoint-3")
    assert (run.folder / "evaluation.jsonl").read_bytes() == record
    count = len(run.events("Evaluated"))
    go(run, "eval_steps_interval=2", "max_train_steps=6", "resume_from_checkpoint=checkpoint-3", "eval_dataset_id=more")
    again = run.events("Evaluated")[count:]
    assert [(event["step"], event["dataset"]) for event in again] == [(4, "more")] * 2 + [(6, "more")] * 2
    for event in again:
        assert event["loss"] == whole[event["step"], event["dataset"], event["weights"]]


def test_pooled_datasets_are_measured_as_one(run: TinyRun) -> None:
    go(run, "eval_steps_interval=2", "max_train_steps=1", "eval_dataset_pooling=true", "use_ema=false")
    events = run.events("Evaluated")
    assert [(event["step"], event["dataset"], event["clips"]) for event in events] == [
        (0, "pooled", 3),
        (1, "pooled", 3),
    ]
    assert [event["verdict_kind"] for event in events][0] == "first"


def test_a_dataset_of_which_nothing_can_be_measured_is_refused(run: TinyRun) -> None:
    (clip,) = (run.place / "more").glob("*.mp4")
    clip.write_bytes(b"no film")
    ending = go(run, "eval_steps_interval=2", status=2)
    assert f"more: no clip can be measured, 1 were left out, such as more/{clip.name}: unreadable" in ending.stderr
    assert not run.folder.exists()
