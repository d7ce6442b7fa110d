"""`reeltune plan` as a command: in seconds, without torch, on one page."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.cli import reeltune
from helpers.model_folder import write_json, write_model
from reeltune.media import write_mp4

CLIPS = 1000
LIMIT_S = 2.0
"""For a plan of so many clips that were looked at before."""

CONFIG = {
    "pretrained_model_name_or_path": "model",
    "data_backend_config": "data.json",
    "output_dir": "output/x",
    "max_train_steps": 1000,
    "train_batch_size": 1,
    "resolution": 632,
    "resolution_type": "pixel_area",
    "validation_prompt": "a cartoon of a dog",
    "use_ema": True,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 5000,
    "tread_config": {"routes": [{"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}]},
}


def write_place(place: Path, *, clips: int) -> Path:
    """Write a working folder: a configuration, a model without weights, and one clip of 480p under many names."""
    folder = place / "clips"
    folder.mkdir(parents=True)
    levels = np.linspace(40, 200, 130).astype(np.uint8)
    first = folder / "clip-0000.mp4"
    write_mp4(first, np.broadcast_to(levels[:, None, None, None], (130, 480, 832, 3)), fps=24.0)
    for number in range(clips):
        path = folder / f"clip-{number:04}.mp4"
        if number:
            os.link(first, path)
        path.with_suffix(".txt").write_text(f"a cartoon of a light, number {number}", encoding="utf-8")
    write_model(place / "model")
    write_json(place / "config/config.json", CONFIG)
    datasets = [
        {"id": "many", "instance_data_dir": "clips", "cache_dir_vae": "cache/vae", "video": {"num_frames": 81}},
        {"id": "texts", "dataset_type": "text_embeds", "cache_dir": "cache/text"},
    ]
    write_json(place / "data.json", datasets)
    return place


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a thousand clips, at which a plan has looked once."""
    place = write_place(tmp_path_factory.mktemp("many"), clips=CLIPS)
    outcome = reeltune("plan", cwd=place)
    assert outcome.returncode == 0, outcome.stderr
    return place


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three clips."""
    return write_place(tmp_path_factory.mktemp("few"), clips=3)


def plan_json(place: Path, *words: str) -> dict[str, Any]:
    outcome = reeltune("plan", "--json", *words, cwd=place)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_a_plan_of_a_thousand_clips_takes_under_two_seconds(many: Path) -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        outcome = reeltune("plan", cwd=many)
        times.append(time.perf_counter() - started)
        assert "1,000 files found, 1,000 used" in outcome.stdout
    assert min(times) < LIMIT_S, times


def test_a_plan_computes_for_less_than_that(many: Path) -> None:
    # The processor's own time: what other processes of a busy machine take does not count.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    reeltune("plan", cwd=many)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < LIMIT_S


def test_a_plan_is_made_without_torch(few: Path) -> None:
    code = "import sys; from reeltune.cli.main import main; main(['plan']); print(*sys.modules, file=sys.stderr)"
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=few, text=True, capture_output=True, check=True, timeout=60
    )
    assert "Plan of output/x" in outcome.stdout
    heavy = {"torch", "diffusers", "transformers", "peft", "safetensors", "scipy", "wandb", "tensorboard"}
    assert not heavy & set(outcome.stderr.split())


@pytest.mark.parametrize("columns", [80, 120])
def test_the_page_is_as_wide_as_the_terminal(few: Path, columns: int) -> None:
    outcome = reeltune("plan", cwd=few, environment={"COLUMNS": str(columns)})
    # What has no blank cannot be wrapped: a path, say.
    wide = [line for line in outcome.stdout.splitlines() if len(line) > columns and len(line.split()) > 1]
    assert wide == []
    assert max(map(len, outcome.stdout.splitlines())) > columns - 15


def test_the_plan_for_programs_has_the_numbers_of_the_run(few: Path) -> None:
    outlook = plan_json(few)
    (bucket,) = outlook["buckets"]
    assert (bucket["width"], bucket["height"], bucket["frames"], bucket["tokens"]) == (832, 480, 81, 32_760)
    assert outlook["trained"]["base_parameters"] == 1_418_996_800
    # Half of the tokens skip 27 of 30 blocks; without routes it would be 1,150.
    assert plan_json(few, "tread_config=null")["cost"]["step_tflop"] == pytest.approx(1150.3, abs=0.1)
    assert outlook["cost"]["step_tflop"] == pytest.approx(1150.3 * (1 - outlook["routing"]["saving"]), abs=0.1)
    about = {(note["kind"], note["about"]) for note in outlook["notes"]}
    assert {("trap", "tread_config"), ("trap", "lr_warmup_steps"), ("trap", "validation_steps")} <= about


def test_what_is_wrong_is_listed_and_nothing_is_planned(few: Path) -> None:
    outcome = reeltune("plan", "lora_rank=0", "optimizer=none-such", "learning_rat=1", cwd=few)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    for word in ("lora_rank", "none-such", "learning_rat"):
        assert word in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_clip_folder_without_videos_ends_the_plan(few: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_json(
        tmp_path / "data.json",
        [
            {"id": "none", "instance_data_dir": str(tmp_path / "empty"), "cache_dir_vae": "cache/none"},
            {"id": "texts", "dataset_type": "text_embeds", "cache_dir": "cache/text"},
        ],
    )
    outcome = reeltune("plan", f"data_backend_config={tmp_path / 'data.json'}", cwd=few)
    assert outcome.returncode == 2
    assert "no video in" in outcome.stderr


def test_a_checkpoint_that_is_not_there_ends_the_plan_as_it_would_the_run(few: Path) -> None:
    outcome = reeltune("plan", "resume_from_checkpoint=checkpoint-7", cwd=few)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "checkpoint-7 is not a checkpoint of output/x; there: none" in outcome.stderr


def test_a_run_that_cannot_be_continued_is_not_planned_either(few: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run/checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text('{"lora_rank": 3, "seed": 5}', encoding="utf-8")
    outcome = reeltune("plan", f"output_dir={tmp_path / 'run'}", cwd=few)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "lora_rank was 3 and is now 16: the saved adapter has another size" in outcome.stderr


def test_an_image_to_video_model_is_refused_in_one_sentence(few: Path) -> None:
    write_model(few / "i2v", in_channels=36, image_dim=1280)
    outcome = reeltune("plan", "pretrained_model_name_or_path=i2v", cwd=few)
    assert outcome.returncode == 2
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("reeltune: i2v is an image-to-video model; Wan 2.1 text-to-video is what can be trained")


def test_a_model_that_is_not_there_is_named(few: Path) -> None:
    outcome = reeltune("plan", "pretrained_model_name_or_path=models/none/here", cwd=few)
    assert outcome.returncode == 2
    assert "models/none/here" in outcome.stderr.splitlines()[-1]


def test_a_model_of_the_hub_is_planned_before_it_is_fetched(few: Path, tmp_path: Path) -> None:
    options = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    words = ("plan", "--json", "pretrained_model_name_or_path=Wan-AI/Wan2.1-T2V-14B-Diffusers")
    outlook = json.loads(reeltune(*words, cwd=few, environment=options).stdout)
    assert {part["state"] for part in outlook["components"]} == {"to be fetched"}
    assert outlook["trained"]["base_parameters"] == 14_288_491_584
    unknown = json.loads(reeltune(*words[:2], f"{words[2]}-mine", cwd=few, environment=options).stdout)
    assert (unknown["cost"], unknown["memory"], unknown["routing"]) == (None, [], None)
    assert any("the size of the model is not known" in note["text"] for note in unknown["notes"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_plan_needs_no_permission_to_write(tmp_path: Path) -> None:
    place = write_place(tmp_path / "place", clips=1)
    place.chmod(0o555)
    try:
        outcome = reeltune("plan", cwd=place)
    finally:
        place.chmod(0o755)
    assert outcome.returncode == 0, outcome.stderr
    assert not (place / "cache").exists()


def test_a_plan_works_where_its_memory_cannot_be_written(tmp_path: Path) -> None:
    place = write_place(tmp_path / "place", clips=1)
    # A file where the folder would be keeps root from writing too.
    (place / "cache").write_text("")
    outcome = reeltune("plan", cwd=place)
    assert outcome.returncode == 0, outcome.stderr
    assert "1 file found, 1 used" in outcome.stdout


@pytest.mark.parametrize("words", [["plan"], ["plan", "--json"], ["options"]])
def test_a_reader_that_has_gone_is_no_error(few: Path, words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        outcome = subprocess.run(
            [sys.executable, "-m", "reeltune", *words],
            cwd=few,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    assert (outcome.returncode, outcome.stderr) == (1, b"")
