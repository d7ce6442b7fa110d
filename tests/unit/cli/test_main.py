"""The command: what it refuses, and how it says what ended it."""

from __future__ import annotations

import argparse
import errno
import json
import os
from pathlib import Path

import pytest
import torch

from helpers.cli import reeltune_here
from reeltune.cli import main, train
from reeltune.errors import ShortageError

DATASETS = [
    {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a", "maximum_image_size": 512},
    {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"},
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with a configuration that can be read; its data is not there."""
    config = {
        "pretrained_model_name_or_path": "model",
        "data_backend_config": "data.json",
        "output_dir": "output/x",
        "max_train_steps": 10,
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.json").write_text(json.dumps(config))
    (tmp_path / "data.json").write_text(json.dumps(DATASETS))
    return tmp_path


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `reeltune train` end in an error that comes from training."""

    def run(arguments: argparse.Namespace, words: list[str]) -> int:
        raise error

    monkeypatch.setattr(train, "run", run)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EACCES, "permission there"),
        (errno.EPERM, "permission there"),
        (errno.EROFS, "permission there"),
        (errno.ENOTDIR, "move it away"),
        (errno.EEXIST, "move it away"),
    ],
)
def test_a_failure_of_the_disk_names_the_file_the_reason_and_what_to_do(tmp_path, monkeypatch, number, advice) -> None:
    fail_with(monkeypatch, OSError(number, os.strerror(number), "output/x/file"))
    outcome = reeltune_here("train", cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"reeltune: output/x/file: {os.strerror(number)}. ")
    assert advice in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_gpu_without_room_says_what_to_lower(tmp_path, monkeypatch) -> None:
    fail_with(monkeypatch, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has more."))
    outcome = reeltune_here("train", cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "reeltune: the GPU's memory is not enough: CUDA out of memory. Tried to allocate 2.00 GiB. "
        "Lower train_batch_size, resolution or video.num_frames, or set gradient_checkpointing=true.\n"
    )


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "Invalid argument"), RuntimeError("x")])
def test_an_error_of_ours_is_to_be_reported(tmp_path, monkeypatch, error: Exception) -> None:
    fail_with(monkeypatch, error)
    outcome = reeltune_here("train", cwd=tmp_path)
    assert outcome.returncode == 1
    assert "an error in reeltune itself, please report it" in outcome.stderr


def test_a_file_where_the_example_goes_is_found_before_training(tmp_path) -> None:
    (tmp_path / "output").write_text("")
    outcome = reeltune_here("train", "--example", "tiny", cwd=tmp_path)
    assert outcome.returncode == 2
    assert "reeltune: output/tiny: Not a directory. " in outcome.stderr
    assert "move it away" in outcome.stderr


def test_any_failure_to_make_the_example_is_one_before_training(tmp_path, monkeypatch) -> None:
    def no_room(name: str, say: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "output/tiny")

    monkeypatch.setattr(train, "make_example", no_room)
    monkeypatch.chdir(tmp_path)
    arguments = argparse.Namespace(config=None, env=None, example="tiny")
    with pytest.raises(ShortageError, match="Input/output error: 'output/tiny'"):
        train.run(arguments, [])


@pytest.mark.parametrize(
    "words", [[], ["--config", "config/config.json"], ["config=config/config.json"], ["env=../config"]]
)
def test_one_name_or_none_is_enough(place: Path, words: list[str]) -> None:
    outcome = reeltune_here("train", *words, "lora_rank=0", cwd=place)
    assert "lora_rank (command line): is 0" in outcome.stderr


def test_the_dataset_file_is_judged_together_with_the_configuration(place: Path) -> None:
    (place / "data.json").write_text(json.dumps([*DATASETS, {"id": "b"}], indent=1))
    outcome = reeltune_here("train", "lora_rank=0", cwd=place)
    assert outcome.returncode == 2
    assert "lora_rank (command line): is 0" in outcome.stderr
    assert "b.instance_data_dir (data.json, line 13): is needed with type local" in outcome.stderr


@pytest.mark.parametrize("words", [["--verbose", "train"], ["train", "--verbose"], ["train", "seed=1", "--verbose"]])
def test_verbose_may_stand_before_or_after_the_command(words: list[str]) -> None:
    assert main._parser().parse_known_args(words)[0].verbose is True


def test_without_verbose_there_is_none() -> None:
    assert main._parser().parse_known_args(["train", "seed=1"])[0].verbose is False


@pytest.mark.parametrize("command", ["plan", "prepare", "train"])
def test_each_command_that_reads_a_configuration_refuses_it_with_the_same_words(place: Path, command: str) -> None:
    outcome = reeltune_here(command, "lora_rank=0", "learning_rat=1", cwd=place)
    assert outcome.returncode == 2
    assert "config/config.json: 2 problems" in outcome.stderr
    assert "lora_rank (command line): is 0" in outcome.stderr
    assert "learning_rat (command line): unknown option; nearest is learning_rate" in outcome.stderr


@pytest.mark.parametrize("command", ["plan", "prepare", "train"])
def test_without_a_configuration_each_command_says_how_to_get_one(tmp_path: Path, command: str) -> None:
    outcome = reeltune_here(command, cwd=tmp_path)
    assert outcome.returncode == 2
    assert "config/config.json does not exist" in outcome.stderr
    assert "`reeltune configure`" in outcome.stderr


def test_a_second_ctrl_c_ends_at_once_and_says_what_is_kept(tmp_path, monkeypatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    outcome = reeltune_here("train", cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr == "reeltune: stopped at once; the last whole checkpoint is kept\n"
