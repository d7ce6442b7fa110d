"""Who listens to a run: what was asked for, as far as the machine has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.effects import Outside
from reeltune.cli.listeners import listeners
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.config.webhooks import parse_webhooks
from reeltune.contracts.events import (
    CheckpointSaved,
    EventSink,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
)
from reeltune.report import hub, webhook
from reeltune.report.console import TrainingConsole
from reeltune.report.curves import Curves
from reeltune.report.hub import HubSink
from reeltune.report.journal import Journal
from reeltune.report.trackers import Tracker as TrackerSink
from reeltune.report.webhook import WebhookSink
from reeltune.run.means import Means, Tracker

NOTHING = Means((), (), None, ())
HOOK = "https://example.invalid/hook"


def config_of(**options: Any) -> Config:
    needed = {"pretrained_model_name_or_path": "m", "data_backend_config": "d.json", "output_dir": "o/mice"}
    return load_config([], needed | {"max_train_steps": 2} | options)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Outside:
    """What reaches the hub and the webhooks."""
    world = Outside()
    monkeypatch.setattr(hub, "hub_client", lambda: world)
    monkeypatch.setattr(webhook, "post", world.post)
    return world


@contextmanager
def open_sinks(config: Config, means: Means, folder: Path) -> Iterator[list[EventSink]]:
    sinks = listeners(config, means, folder)
    try:
        yield [sink for sink in sinks if not isinstance(sink, TrainingConsole)]
    finally:
        for sink in sinks:
            sink.close()


def tell_a_run(config: Config, means: Means, folder: Path) -> None:
    """Let a run of two steps happen, with a checkpoint and a video."""
    (folder / "validation").mkdir(parents=True)
    video = folder / "validation/step-000002-a-raw.mp4"
    video.write_bytes(b"video")
    with open_sinks(config, means, folder) as sinks:
        for event in (
            RunStarted(0, 2),
            StepDone(1, 2, 0.5, 0.1, 1e-4, 100, 0.1, 0.0),
            StepDone(2, 2, 0.4, 0.1, 1e-4, 100, 0.1, 0.0),
            CheckpointSaved(2, folder, 0.1),
            SampleRendered(2, video, "raw", 1.0),
            RunFinished(2, stopped=False),
        ):
            for sink in sinks:
                sink.receive(event)


def test_a_console_and_a_journal_always_listen(tmp_path: Path) -> None:
    sinks = listeners(config_of(), NOTHING, tmp_path)
    assert [type(sink) for sink in sinks] == [TrainingConsole, Journal, Curves]
    for sink in sinks:
        sink.close()
    tell_a_run(config_of(), NOTHING, tmp_path / "run")
    lines = (tmp_path / "run/events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines][0] == "RunStarted"
    assert len(lines) == 6


def test_each_of_the_means_is_a_listener(tmp_path: Path, world: Outside) -> None:
    hooks = parse_webhooks([{"webhook_type": "raw", "callback_url": HOOK}] * 2)
    means = Means((Tracker("csv"), Tracker("tensorboard")), hooks, "me/mice", ())
    with open_sinks(config_of(push_to_hub=True), means, tmp_path) as sinks:
        assert [type(sink) for sink in sinks] == [Journal, Curves, *[TrackerSink] * 2, *[WebhookSink] * 2, HubSink]


def test_the_options_alone_open_nothing_that_the_machine_has_not(tmp_path: Path, world: Outside) -> None:
    config = config_of(
        report_to="wandb", push_to_hub=True, webhook_config={"webhook_type": "raw", "callback_url": HOOK}
    )
    tell_a_run(config, NOTHING, tmp_path / "run")
    assert (world.tracked, world.repositories, world.posts) == ([], [], [])


def test_a_table_gets_a_row_for_each_step(tmp_path: Path) -> None:
    means = Means((Tracker("csv"),), (), None, ())
    tell_a_run(config_of(), means, tmp_path / "run")
    rows = (tmp_path / "run/metrics.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows] == [["step", "train_loss"], ["1", "0.5"], ["2", "0.4"]]


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ({}, "(reeltune mice)"),
        ({"tracker_project_name": "cartoons"}, "(cartoons mice)"),
        ({"tracker_project_name": "cartoons", "tracker_run_name": "first"}, "(cartoons first)"),
    ],
)
def test_webhooks_are_told_whose_run_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], prefix: str
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def post(address: str, body: bytes, **others: Any) -> None:
        told.append((address, json.loads(body)))

    monkeypatch.setattr(webhook, "post", post)
    means = Means((), parse_webhooks({"webhook_type": "raw", "callback_url": HOOK}), None, ())
    tell_a_run(config_of(**options), means, tmp_path / "run")
    assert told
    assert {address for address, _ in told} == {HOOK}
    assert all(message["message"].startswith(prefix) for _, message in told)
    assert {message["job_id"] for _, message in told} == {prefix.strip("()").partition(" ")[2]}


@pytest.mark.parametrize(
    ("options", "uploads"),
    [
        ({"push_to_hub": True}, ["Results after step 2", "Model card"]),
        ({"push_checkpoints_to_hub": True}, ["Checkpoint of step 2"]),
        (
            {"push_to_hub": True, "push_checkpoints_to_hub": True},
            ["Checkpoint of step 2", "Results after step 2", "Model card"],
        ),
    ],
)
def test_what_is_pushed_is_what_was_asked_for(
    tmp_path: Path, world: Outside, options: dict[str, Any], uploads: list[str]
) -> None:
    tell_a_run(config_of(**options), Means((), (), "mice", ()), tmp_path / "run")
    assert world.repositories == ["mice"]
    assert world.uploads == uploads
    assert (tmp_path / "run/README.md").exists() == ("Model card" in uploads)


@pytest.mark.parametrize("private", [True, False])
def test_the_repository_is_private_unless_that_is_switched_off(
    tmp_path: Path, world: Outside, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    asked: list[bool] = []
    create = world.create_repo

    def create_repo(name: str, **others: Any) -> Any:
        asked.append(others["private"])
        return create(name, **others)

    monkeypatch.setattr(world, "create_repo", create_repo)
    config = config_of(push_to_hub=True, **({} if private else {"model_card_private": False}))
    tell_a_run(config, Means((), (), "mice", ()), tmp_path / "run")
    assert asked == [private]


def test_the_card_tells_of_this_run(tmp_path: Path, world: Outside) -> None:
    config = config_of(push_to_hub=True, validation_prompt="a mouse", lora_rank=12, tracker_run_name="first")
    tell_a_run(config, Means((), (), "mice", ()), tmp_path / "run")
    card = (tmp_path / "run/README.md").read_text(encoding="utf-8")
    for words in ("first", "a mouse", "lora_rank", "12", "validation/step-000002-a-raw.mp4", "me/mice"):
        assert words in card, words
