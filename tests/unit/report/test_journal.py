from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from reeltune.contracts.events import CheckpointSaved, EventSink, RunStarted, StepSkipped
from reeltune.report.journal import Journal


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
