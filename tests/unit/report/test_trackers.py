from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reeltune.contracts.events import EventSink, RunFinished, RunStarted, SampleRendered, StepDone, StepSkipped
from reeltune.report.tracker_backends import LEVELS
from reeltune.report.trackers import open_tracker

Open = Callable[..., EventSink]


def step_done(step: int, *, loss: float = 0.5, seconds: float = 2.0) -> StepDone:
    return StepDone(step, 9, loss, 1.25, 1e-4, tokens=3000, seconds=seconds, data_seconds=0.1)


def told_much(step: int) -> StepDone:
    """Return a step that tells all there is."""
    return replace(
        step_done(step),
        grad_max=0.75,
        effective_rate=3e-4,
        loss_by_sigma=(0.5, *[None] * 8, 0.25),
        memory_bytes=2**30,
        mfu=0.4,
        weight_change={"blocks.0": 0.125, "blocks.1": 0.5},
    )


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def open_it(name: str, *, offline: bool = False) -> EventSink:
        return open_tracker(
            name, project="films", run="first", folder=tmp_path, config={"lora_rank": 8}, offline=offline
        )

    return open_it


def follow(sink: EventSink, start: int, *steps: StepDone, finished: bool = True) -> None:
    sink.receive(RunStarted(start, 9))
    for step in steps:
        sink.receive(step)
    if finished:
        sink.receive(RunFinished(steps[-1].step, False))
    sink.close()


def table(folder: Path) -> list[list[str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_table_has_a_row_per_step(opened: Open, tmp_path: Path) -> None:
    follow(opened("csv"), 0, step_done(1, loss=0.1 + 0.2), step_done(2, seconds=0.0))
    head, first, second = table(tmp_path)
    assert head[:6] == ["step", "train_loss", "learning_rate", "grad_norm", "step_seconds", "tokens_per_second"]
    assert [float(cell) for cell in first[:6]] == [1, 0.1 + 0.2, 1e-4, 1.25, 2.0, 1500.0]
    assert [float(cell) for cell in second[:6]] == [2, 0.5, 1e-4, 1.25, 0.0, 0.0]
    unknown = [name for name, cell in zip(head, first, strict=True) if not cell]
    assert unknown == ["grad_max", "effective_learning_rate", "memory_bytes", "mfu", *LEVELS]


def test_all_that_a_step_tells_has_its_place_in_tables(opened: Open, tmp_path: Path) -> None:
    follow(opened("csv"), 0, step_done(1), told_much(2))
    head, _, second = table(tmp_path)
    row = dict(zip(head, second, strict=True))
    assert {name: float(row[name]) for name in head[6:] if row[name]} == {
        "grad_max": 0.75,
        "effective_learning_rate": 3e-4,
        "data_seconds": 0.1,
        "memory_bytes": 2**30,
        "mfu": 0.4,
        "loss/sigma/0.0-0.1": 0.5,
        "loss/sigma/0.9-1.0": 0.25,
    }
    # A run that goes on from before it writes its own.
    follow(opened("csv"), 1, told_much(3))
    changes = (tmp_path / "weight_change.csv").read_text(encoding="utf-8").splitlines()
    assert changes == ["step,name,value", "3,weight_change/blocks.0,0.125", "3,weight_change/blocks.1,0.5"]


def test_a_table_of_an_earlier_version_goes_on_with_the_new_columns(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,train_loss,grad_norm\n1,0.5,1.0\n", encoding="utf-8")
    follow(opened("csv"), 1, told_much(2))
    head, first, second = table(tmp_path)
    assert (first[1], first[head.index("mfu")], second[head.index("mfu")]) == ("0.5", "", "0.4")


def test_a_run_that_goes_on_continues_the_table_and_rewrites_repeated_steps(opened: Open, tmp_path: Path) -> None:
    follow(opened("csv"), 0, *(step_done(step) for step in (1, 2, 3)), finished=False)
    with (tmp_path / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("1,0.2")  # half of row 12, as a power cut leaves it
    follow(opened("csv"), 2, step_done(3, loss=0.25), step_done(4))
    assert [(row[0], row[1]) for row in table(tmp_path)[1:]] == [
        ("1", "0.5"),
        ("2", "0.5"),
        ("3", "0.25"),
        ("4", "0.5"),
    ]


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_nothing_is_written_before_the_loop_begins(name: str, opened: Open, tmp_path: Path) -> None:
    # Until then the folder may belong to an earlier run, which is yet to be moved aside.
    opened(name).close()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_the_numbers_back(opened: Open, tmp_path: Path) -> None:
    follow(opened("tensorboard"), 0, step_done(1), step_done(2), step_done(3, loss=7.0))
    follow(opened("tensorboard"), 2, step_done(3, loss=0.25))
    accumulator_module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = accumulator_module.EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    known = {"train_loss", "learning_rate", "grad_norm", "step_seconds", "tokens_per_second", "data_seconds"}
    assert set(accumulator.Tags()["scalars"]) == known
    losses = [(point.step, point.value) for point in accumulator.Scalars("train_loss")]
    assert losses == [(1, 0.5), (2, 0.5), (3, 0.25)]  # the 7.0 of the first process no longer counts
    assert [point.value for point in accumulator.Scalars("tokens_per_second")] == [1500.0] * 3


class FakeWandb:
    """Stands for the package: what is asked of it is written down. reachable: whether online runs can be opened."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.reachable = reachable
        self.inits: list[dict[str, Any]] = []
        self.said: list[Any] = []

    def init(self, **settings: Any) -> Any:
        self.inits.append(settings)
        if settings["mode"] != "offline" and not self.reachable:
            raise ConnectionError("no route to https://api.wandb.ai/graphql?key=secret")
        return SimpleNamespace(
            url="https://wandb.ai/me/films/runs/1",
            define_metric=lambda name, step_metric: self.said.append((name, step_metric)),
            log=self.said.append,
            finish=lambda exit_code: self.said.append(("finish", exit_code)),
        )

    def Video(self, path: str, caption: str) -> tuple[str, str, str]:
        return ("video", path, caption)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_wandb_gets_numbers_and_video_files(opened: Open, wandb: FakeWandb, tmp_path: Path) -> None:
    video = tmp_path / "validation" / "step-000001-fox-ema.mp4"
    sink = opened("wandb")
    sink.receive(RunStarted(0, 9))
    sink.receive(step_done(1))
    sink.receive(StepSkipped(2, float("nan"), 1.0, ("a",), (0.5,), 7))
    sink.receive(SampleRendered(1, video, "ema", 3.0))
    sink.receive(RunFinished(2, False))
    sink.close()
    (init,) = wandb.inits
    assert (init["project"], init["name"], init["dir"]) == ("films", "first", str(tmp_path))
    assert (init["config"], init["mode"], init["resume"]) == ({"lora_rank": 8}, None, "allow")
    numbers = {
        "train_loss": 0.5,
        "learning_rate": 1e-4,
        "grad_norm": 1.25,
        "step_seconds": 2.0,
        "tokens_per_second": 1500.0,
        "data_seconds": 0.1,
    }
    assert wandb.said == [
        ("*", "step"),
        {**numbers, "step": 1},
        {"validation/fox-ema": ("video", str(video), "step-000001-fox-ema"), "step": 1},
        ("finish", 0),
    ]


def test_wandb_sees_a_run_that_goes_on_as_one(opened: Open, wandb: FakeWandb) -> None:
    follow(opened("wandb"), 0, step_done(1), finished=False)
    follow(opened("wandb"), 1, step_done(2))
    assert wandb.inits[0]["id"] == wandb.inits[1]["id"] != ""
    assert [one[1] for one in wandb.said if isinstance(one, tuple) and one[0] == "finish"] == [1, 0]


def test_wandb_out_of_reach_is_written_to_files(opened: Open, wandb: FakeWandb, said: list[str]) -> None:
    wandb.reachable = False
    follow(opened("wandb"), 0, step_done(1))
    assert [init["mode"] for init in wandb.inits] == [None, "offline"]
    assert wandb.said[-1] == ("finish", 0)
    assert "written to files only" in said[0]
    assert "secret" not in "".join(said)


def test_a_tracker_that_cannot_be_opened_is_left_alone(opened: Open, wandb: FakeWandb, said: list[str]) -> None:
    def refuse(**settings: Any) -> Any:
        raise ConnectionError("out of order")

    wandb.init = refuse
    follow(opened("wandb", offline=True), 0, step_done(1), step_done(2))
    assert wandb.said == []
    assert [line.split(":")[0] for line in said] == ["wandb failed (opening)"]
