from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reeltune.contracts.events import CheckpointSaved, EventSink, RunStarted, StepDone, StepSkipped
from reeltune.report.journal import Journal, step_losses


def strictly(line: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(line, parse_constant=refuse)


def read(path: Path) -> list[dict[str, Any]]:
    return [strictly(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_every_event_is_a_line_with_its_name(path: Path) -> None:
    journal = Journal(path)
    journal.receive(RunStarted(0, 3))
    journal.receive(CheckpointSaved(3, Path("Läufe") / "checkpoint-3", 0.5))
    assert read(path) == [
        {"event": "RunStarted", "step": 0, "total_steps": 3},
        {"event": "CheckpointSaved", "step": 3, "path": str(Path("Läufe") / "checkpoint-3"), "seconds": 0.5},
    ]


def test_numbers_that_are_not_finite_are_strings_that_float_reads(path: Path) -> None:
    Journal(path).receive(StepSkipped(4, math.nan, math.inf, ids=("a",), sigmas=(0.5, -math.inf), seed=7))
    (record,) = read(path)
    assert (record["loss"], record["grad_norm"], record["sigmas"]) == ("nan", "inf", [0.5, "-inf"])
    assert math.isnan(float(record["loss"]))


def test_a_resumed_run_goes_on_in_the_same_file(path: Path) -> None:
    for step in (0, 2):
        journal = Journal(path)
        journal.receive(RunStarted(step, 3))
        journal.close()
        journal.close()
    assert [record["step"] for record in read(path)] == [0, 2]


def test_a_line_cut_short_does_not_swallow_the_next(path: Path) -> None:
    path.write_text('{"event": "RunSta', encoding="utf-8")
    Journal(path).receive(RunStarted(2, 3))
    broken, whole = path.read_text(encoding="utf-8").splitlines()
    assert broken == '{"event": "RunSta'
    assert strictly(whole)["step"] == 2


def test_a_line_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line too: between two writes a reader, or another writer, would find half a line."""
    sizes: list[int] = []

    class Watched(io.FileIO):
        def write(self, content: Any) -> int:
            sizes.append(len(content))
            return super().write(content)

    def watched(self: Path, mode: str, *, buffering: int) -> Watched:
        assert (mode[0], buffering) == ("a", 0)
        return Watched(self, mode.replace("b", ""))

    monkeypatch.setattr(Path, "open", watched)
    Journal(path).receive(StepSkipped(1, 1.0, 1.0, ids=("a" * 100_000,), sigmas=(), seed=0))
    monkeypatch.undo()
    assert sizes == [path.stat().st_size]


def test_the_journal_is_a_sink(path: Path) -> None:
    assert isinstance(Journal(path), EventSink)


def done(step: int, loss: float) -> StepDone:
    numbers = StepDone(step, 9, loss, 1.0, 1e-4, tokens=1, seconds=1.0, data_seconds=0.0)
    return replace(numbers, sigmas=(0.1 + 0.2, 1.0), losses=(loss, 2 * loss))


def test_samples_of_steps_come_back_as_the_last_process_that_took_them_wrote_them(path: Path) -> None:
    journal = Journal(path)
    assert list(step_losses(path, 9)) == []
    for event in (RunStarted(0, 9), done(1, 0.1), done(2, 0.2), done(3, 0.3)):
        journal.receive(event)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"event": "StepDone", "step"')  # as a power cut leaves it
    for event in (RunStarted(1, 9), StepSkipped(2, math.nan, 1.0, ("a",), (0.5,), 7), done(3, 0.4), done(4, 0.5)):
        journal.receive(event)
    levels = [0.1 + 0.2, 1.0]
    assert list(step_losses(path, 3)) == [(levels, [0.1, 0.2]), (levels, [0.4, 0.8])]


def test_a_journal_of_an_earlier_version_has_no_samples(path: Path) -> None:
    path.write_text('{"event": "StepDone", "step": 1, "loss": 0.5}\n', encoding="utf-8")
    Journal(path).receive(done(2, 0.25))
    assert list(step_losses(path, 9)) == [([0.1 + 0.2, 1.0], [0.25, 0.5])]
