"""The record of measurements: whole lines, read back exactly, and cut where a run goes on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from helpers.measurements import measurement
from reeltune.train.history import History


def filled(path: Path, *steps: int) -> History:
    history = History(path)
    for step in steps:
        history.add(measurement(step, [[1 / 3 + step, 0.1], [2.0, 1e-9]]))
    return history


def test_what_is_read_back_is_what_was_measured(tmp_path: Path) -> None:
    written = filled(tmp_path / "evaluation.jsonl", 0, 2, 4)
    read = History(tmp_path / "evaluation.jsonl")
    read.go_on_from(4)
    assert read.series("films", "raw") == written.series("films", "raw")
    assert read.series("films", "ema") == read.series("others", "raw") == []


def test_a_line_has_each_clip_with_its_losses_by_level(tmp_path: Path) -> None:
    filled(tmp_path / "evaluation.jsonl", 0)
    (line,) = (tmp_path / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "step": 0,
        "dataset": "films",
        "weights": "raw",
        "clips": [
            {"id": "a.mp4", "key": "key a", "losses": [[1.0, 1 / 3], [0.5, 0.1]]},
            {"id": "b.mp4", "key": "key b", "losses": [[1.0, 2.0], [0.5, 1e-9]]},
        ],
    }


@pytest.mark.parametrize(("start", "left"), [(3, [0, 2]), (2, [0, 2]), (0, [0]), (None, [])])
def test_a_run_that_goes_on_forgets_what_came_later(tmp_path: Path, start: int | None, left: list[int]) -> None:
    path = tmp_path / "evaluation.jsonl"
    filled(path, 0, 2, 4)
    history = History(path)
    history.go_on_from(start)
    assert [known.step for known in history.series("films", "raw")] == left
    assert [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()] == left
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_of_a_repeated_measurement_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.jsonl"
    filled(path, 0).add(measurement(0, [[7.0]]))
    history = History(path)
    history.go_on_from(0)
    assert [known.loss for known in history.series("films", "raw")] == [7.0]


def test_a_line_cut_short_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "evaluation.jsonl"
    filled(path, 0, 2)
    path.write_bytes(path.read_bytes()[:-9])
    history = History(path)
    history.go_on_from(2)
    assert [known.step for known in history.series("films", "raw")] == [0]
    assert f"line 2 of {path} cannot be read" in caplog.text
    assert path.read_bytes().endswith(b"}\n")


def test_losses_that_are_no_numbers_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.jsonl"
    History(path).add(measurement(1, [[math.nan, math.inf]]))
    assert '"nan"' in path.read_text(encoding="utf-8")
    history = History(path)
    history.go_on_from(1)
    first, second = history.series("films", "raw")[0].clips[0].points
    assert math.isnan(first.loss)
    assert second.loss == math.inf


def test_a_file_that_cannot_be_written_is_said_and_the_numbers_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = filled(tmp_path / "nowhere/evaluation.jsonl", 0)
    assert "the losses of step 0 could not be written" in caplog.text
    assert len(history.series("films", "raw")) == 1
