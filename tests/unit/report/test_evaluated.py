"""What listeners make of the loss on held-out clips."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from reeltune.contracts.events import Evaluated, Event, EventSink, RunFinished, RunStarted, StepDone
from reeltune.report.console import TrainingConsole
from reeltune.report.journal import Journal
from reeltune.report.tracker_backends import SCALARS, CsvFile
from reeltune.report.trackers import open_tracker, scalar_of

RAW = Evaluated(2, "films", "raw", 0.25, ((1.0, 0.3, 0.1), (0.5, 0.2, None)), 0.125, "clips", 3, "learning", "it falls")
EMA = replace(RAW, weights="ema", loss=0.5, standard_error=None, verdict_kind="first", verdict="the first")


def tracker(name: str, folder: Path) -> EventSink:
    return open_tracker(name, project="p", run="r", folder=folder, config={}, offline=False)


def follow(sink: EventSink, start: int, *events: Event) -> None:
    for event in (RunStarted(start, 9), *events, RunFinished(9, False)):
        sink.receive(event)
    sink.close()


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_each_kind_of_weights_has_its_name() -> None:
    assert scalar_of(RAW) == {"loss/val/films": 0.25}
    assert scalar_of(EMA) == {"loss/val/films/ema": 0.5}


def test_the_console_has_a_line_for_each(said: list[str]) -> None:
    console = TrainingConsole()
    console.receive(RAW)
    console.receive(EMA)
    assert said == [
        "step 2: held-out loss 0.2500 ± 0.1250 on films, raw weights; it falls",
        "step 2: held-out loss 0.5000 on films, ema weights; the first",
    ]


def test_the_journal_has_the_curve(tmp_path: Path) -> None:
    Journal(tmp_path / "events.jsonl").receive(RAW)
    assert json.loads((tmp_path / "events.jsonl").read_text(encoding="utf-8")) == {
        "event": "Evaluated",
        "step": 2,
        "dataset": "films",
        "weights": "raw",
        "loss": 0.25,
        "curve": [[1.0, 0.3, 0.1], [0.5, 0.2, None]],
        "standard_error": 0.125,
        "error_over": "clips",
        "clips": 3,
        "verdict_kind": "learning",
        "verdict": "it falls",
    }


def test_the_table_has_them_in_a_file_beside_it_and_a_run_that_goes_on_rewrites_what_it_repeats(tmp_path: Path) -> None:
    step = StepDone(2, 9, 0.5, 1.25, 1e-4, tokens=3000, seconds=2.0, data_seconds=0.1)
    later = replace(RAW, step=4, loss=0.125)
    follow(tracker("csv", tmp_path), 0, step, RAW, EMA, later)
    follow(tracker("csv", tmp_path), 3, replace(later, loss=0.0625))
    assert table(tmp_path / "evaluation.csv") == [
        ["step", "name", "value"],
        ["2", "loss/val/films", "0.25"],
        ["2", "loss/val/films/ema", "0.5"],
        ["4", "loss/val/films", "0.0625"],
    ]
    assert [row[0] for row in table(tmp_path / "metrics.csv")] == ["step", "2"]


def test_a_table_tells_steps_and_measurements_apart_by_what_they_are_and_not_by_their_names(tmp_path: Path) -> None:
    backend = CsvFile(tmp_path / "metrics.csv")
    backend.evaluation(2, dict.fromkeys(SCALARS, 0.5))
    assert len(table(tmp_path / "evaluation.csv")) == 1 + len(SCALARS)
    assert not (tmp_path / "metrics.csv").exists()


def test_wandb_gets_them_beside_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, float]] = []
    run = SimpleNamespace(url="", define_metric=lambda *names, **more: None, log=sent.append, finish=lambda **how: None)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **settings: run))
    follow(tracker("wandb", tmp_path), 0, RAW, EMA)
    assert sent == [{"loss/val/films": 0.25, "step": 2}, {"loss/val/films/ema": 0.5, "step": 2}]


def test_without_measurements_there_is_no_such_file(tmp_path: Path) -> None:
    follow(tracker("csv", tmp_path), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_tensorboard_reads_them_back(tmp_path: Path) -> None:
    follow(tracker("tensorboard", tmp_path), 0, RAW, EMA)
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    assert {
        name: [(point.step, point.value) for point in accumulator.Scalars(name)]
        for name in accumulator.Tags()["scalars"]
    } == {"loss/val/films": [(2, 0.25)], "loss/val/films/ema": [(2, 0.5)]}
