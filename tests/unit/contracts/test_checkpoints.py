"""Checkpoints are found, named and chosen by the names of their folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reeltune.contracts.checkpoints import choose_step, name_of, place_of, steps_in
from reeltune.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with two checkpoints, and what only looks like one."""
    for name in ("checkpoint-90", "checkpoint-1000", ".checkpoint-7.writing", "superseded-checkpoint-2000", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-3000").write_text("a file")
    return tmp_path


def test_steps_are_those_of_whole_folders_by_number(folder: Path) -> None:
    assert steps_in(folder) == [90, 1000]
    assert [(folder / name_of(step)).is_dir() for step in steps_in(folder)] == [True, True]
    assert steps_in(folder / "nowhere") == []


def test_latest_is_the_newest_if_there_is_one(folder: Path) -> None:
    assert choose_step(folder, "latest") == 1000
    assert choose_step(folder / "nowhere", "latest") is None


def test_the_best_one_is_the_latest_where_no_later_one_stands(folder: Path) -> None:
    (folder / "best").mkdir()
    for step, latest in ((400, 1000), (1200, 1200)):
        (folder / "best/state.json").write_text(json.dumps({"step": step}))
        assert choose_step(folder, "latest") == latest


def test_a_checkpoint_is_chosen_by_name_or_path(folder: Path) -> None:
    assert choose_step(folder, "checkpoint-90") == 90
    assert choose_step(folder, str(folder / "checkpoint-90")) == 90


def test_the_best_is_chosen_by_name_or_path_where_there_is_one(folder: Path) -> None:
    with pytest.raises(ConfigError, match="best is not a checkpoint of .*there: checkpoint-90, checkpoint-1000. Or"):
        choose_step(folder, "best")
    (folder / "best").mkdir()
    (folder / "best/state.json").write_text('{"format": 1, "step": 40}', encoding="utf-8")
    assert choose_step(folder, "best") == choose_step(folder, str(folder / "best")) == 40
    assert place_of(folder, 40) == folder / "best"
    with pytest.raises(ConfigError, match="there: checkpoint-90, checkpoint-1000, best. Or"):
        choose_step(folder, "/elsewhere/best")


@pytest.mark.parametrize("other", ["checkpoint-9", "/elsewhere/checkpoint-90", "90", "checkpoint-3000"])
def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(folder: Path, other: str) -> None:
    with pytest.raises(ConfigError, match="there: checkpoint-90, checkpoint-1000. Or say latest"):
        choose_step(folder, other)
