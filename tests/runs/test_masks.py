"""Runs with masks: white is no mask, what goes on equals what never stopped, and what does not fit is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from helpers.cli import Ending, reeltune_here
from helpers.tiny import TinyRun, copy_prepared
from reeltune.data.probe import probe

SHORT = ("validation_disable=true", "max_train_steps=4", "checkpointing_steps=2", "checkpoints_total_limit=4")
ROUTED = 'tread_config={"routes": [{"start_layer_idx": 1, "end_layer_idx": -2, "selection_ratio": 0.5}]}'


def go(run: TinyRun, *words: str, command: str = "train") -> Ending:
    config = run.place / "data.json"
    return reeltune_here(command, "--example", "tiny", f"data_backend_config={config}", *SHORT, *words, cwd=run.place)


def data(run: TinyRun, *, masked: bool = True, **more: Any) -> None:
    """Write the dataset file of the tiny example, with masks or without."""
    clips: dict[str, Any] = {
        "id": "cartoons",
        "instance_data_dir": "output/tiny/clips",
        "cache_dir_vae": "output/tiny/cache/vae",
        "video": {"num_frames": 17},
        **more,
    }
    masks = {
        "id": "masks",
        "dataset_type": "conditioning",
        "conditioning_type": "mask",
        "instance_data_dir": "masks",
    }
    text = {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "output/tiny/cache/text"}
    entries = [clips | {"conditioning_data": "masks"}, masks, text] if masked else [clips, text]
    (run.place / "data.json").write_text(json.dumps(entries), encoding="utf-8")


def draw_masks(run: TinyRun, *, left: int, right: int = 255, but: int = 0) -> list[Path]:
    """Write a mask for each clip but the last few: a grey for its left half, one for its right half."""
    (run.place / "masks").mkdir(exist_ok=True)
    clips = sorted((run.place / "output/tiny/clips").glob("*.mp4"))
    for clip in clips[: len(clips) - but]:
        info = probe(clip)
        pixels = np.full((info.height, info.width), right, np.uint8)
        pixels[:, : info.width // 2] = left
        Image.fromarray(pixels).save(run.place / "masks" / f"{clip.stem}.png")
    return clips


@pytest.fixture(scope="module")
def halved(finished: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyRun, Ending]:
    """Four steps on the right halves of all clips but three, with routed tokens."""
    run = copy_prepared(finished.place, tmp_path_factory.mktemp("halved"))
    draw_masks(run, left=0, but=3)
    data(run)
    return run, go(run, ROUTED)


def test_a_run_says_that_it_is_masked_and_where_masks_are_missing(halved: tuple[TinyRun, Ending]) -> None:
    run, ending = halved
    assert ending.returncode == 0, ending.stderr
    said = " ".join(ending.stderr.split())
    assert "21 of 24 clips have a mask in masks" in said
    assert "the quickstart advises against that on this model, and it is done all the same" in said
    assert "3 of 24 clips have no mask and are trained whole, more than a tenth" in said
    assert "tokens that count in a mask of cartoons are never dropped" in said
    rows = [json.loads(line) for line in (run.folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert sum(row["mask"] is not None for row in rows) == 21


def test_a_run_with_masks_that_goes_on_equals_itself(halved: tuple[TinyRun, Ending], tmp_path: Path) -> None:
    whole, _ = halved
    run = TinyRun(tmp_path)
    shutil.copytree(whole.place, run.place, dirs_exist_ok=True)
    shutil.rmtree(run.folder / "checkpoint-4")
    ending = go(run, ROUTED)
    assert ending.returncode == 0, ending.stderr
    assert [event["step"] for event in run.events("RunStarted")] == [0, 2]
    assert "their masks" not in ending.stderr
    # The masks are read, not made anew.
    assert run.losses() == whole.losses()
    for name in ("trainable", "optimizer"):
        one, two = (load_file(each.folder / f"checkpoint-4/{name}.safetensors") for each in (run, whole))
        assert all(torch.equal(one[key], two[key]) for key in two), name
    # Another mask is other data.
    shutil.rmtree(run.folder / "checkpoint-4")
    draw_masks(run, left=128, but=3)
    assert "or their masks" in go(run, ROUTED).stderr
    assert run.losses()[2] == whole.losses()[2]
    assert run.losses()[3] != whole.losses()[3]


@pytest.mark.slow
def test_white_masks_are_no_masks_to_the_bit(finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    draw_masks(run, left=255)
    data(run)
    # Six steps: the warm-up of both runs, in which the rate does not know how long the run is.
    ending = go(run, "max_train_steps=6", "checkpointing_steps=6")
    assert ending.returncode == 0, ending.stderr
    assert "24 of 24 clips have a mask" in ending.stderr
    assert run.losses() == {step: loss for step, loss in finished.losses().items() if step <= 6}


@pytest.mark.slow
def test_clips_that_are_drawn_anew_in_each_epoch_take_their_masks_along(finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    draw_masks(run, left=0)
    data(run, crop=True, crop_style="random", crop_aspect="square", vae_cache_clear_each_epoch=True)
    ending = go(run, "max_train_steps=1", "checkpointing_steps=1")
    assert ending.returncode == 0, ending.stderr
    assert len(run.losses()) == 1


def test_masks_that_fit_no_clip_end_the_run_before_it_begins(finished: TinyRun, tmp_path: Path) -> None:
    run = copy_prepared(finished.place, tmp_path)
    data(run)
    for clip in draw_masks(run, left=0):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(run.place / "masks" / f"{clip.stem}.png")
    ending = go(run)
    assert ending.returncode == 2
    assert "no clip can be trained: all 24 were left out" in ending.stderr
    assert "is 8x8, the clip is" in ending.stderr
    # Black ones fit, and teach nothing.
    draw_masks(run, left=0, right=0)
    ending = go(run)
    assert ending.returncode == 2
    assert "nothing counts" in ending.stderr
    assert not run.folder.exists()
