"""`best/`: a whole checkpoint of the step that was measured lowest, out of reach of rotation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from helpers.measurements import measurement
from helpers.toy import Toy, toy_loop
from reeltune.contracts.checkpoints import best_step, choose_step, place_of
from reeltune.contracts.events import Evaluated
from reeltune.train.best import Score, best_score, follow_start
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.evaluate import Evaluation, event_of
from reeltune.train.history import History
from reeltune.train.loop import Loop
from reeltune.train.schedule import Every
from reeltune.train.state import TrainState


def history_of(**losses: dict[int, float]) -> History:
    history = History()
    for dataset, by_step in losses.items():
        for step, loss in by_step.items():
            history.add(measurement(step, [[loss], [loss]], dataset=dataset))
    return history


def test_the_best_is_the_lowest_over_all_datasets_together() -> None:
    history = history_of(one={0: 0.1, 2: 5.0, 4: 1.0, 6: 3.0}, two={0: 0.1, 2: 1.0, 4: 4.0, 6: 3.0})
    assert best_score(history, ["one", "two"], "raw") == Score(4, 2.5)
    assert best_score(history, ["two"], "raw") == Score(2, 1.0)


def test_of_equals_the_earliest_is_the_best_and_nan_never_is() -> None:
    assert best_score(history_of(one={2: math.nan, 4: 1.0, 6: 1.0}), ["one"], "raw") == Score(4, 1.0)


def test_a_step_that_was_not_measured_whole_does_not_count() -> None:
    history = history_of(one={2: 1.0, 4: 0.5}, two={2: 1.0})
    assert best_score(history, ["one", "two"], "raw") == Score(2, 1.0)
    assert best_score(history_of(one={0: 1.0}), ["one"], "raw") is None


def test_steps_that_measured_other_clips_are_not_compared() -> None:
    history = history_of(one={2: 1.0})
    history.add(measurement(4, [[3.0]], dataset="one", names="z"))
    assert best_score(history, ["one"], "raw") == Score(4, 3.0)


@dataclass(frozen=True)
class Scripted(Evaluation):
    """Measures what it is told to, by step."""

    losses: dict[int, float] = field(default_factory=dict)

    def _measured(self, state: TrainState, stop_requested: object) -> Iterator[Evaluated]:
        for kind in state.kinds():
            # The average is best at another step: only the weights that are the result decide.
            loss = self.losses[state.step] if kind == "raw" else float(state.step)
            found = measurement(state.step, [[loss]], weights=kind)
            self.history.add(found)
            yield event_of(found, self.history.series("films", kind))


def scripted(loop: Loop, every: int, losses: dict[int, float]) -> Scripted:
    script = Scripted(Every(every), Toy(), loop.transformer, {"films": []}, None, None, 1, loop.device, losses=losses)  # pyright: ignore[reportArgumentType]
    loop.evaluation = script
    return script


def small_loop(folder: Path, **changes: object) -> Loop:
    loop = toy_loop(folder, **changes)  # pyright: ignore[reportArgumentType]
    loop.keeping = replace(loop.keeping, checkpoints=Checkpoints(folder, 1))
    return loop


def test_the_best_step_survives_rotation_and_its_checkpoint_can_be_gone_on_from(tmp_path: Path) -> None:
    loop = small_loop(tmp_path)
    scripted(loop, 2, {0: 1.0, 2: 0.5, 4: 0.7, 6: 0.9})
    loop.run()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]
    assert best_step(tmp_path) == 2
    whole = toy_loop(tmp_path / "whole", steps=6)
    whole.run()
    for file in (tmp_path / "whole/checkpoint-2").rglob("*"):
        if file.is_file():
            twin = tmp_path / "best" / file.relative_to(tmp_path / "whole/checkpoint-2")
            assert twin.read_bytes() == file.read_bytes(), file
    assert choose_step(tmp_path, "best") == choose_step(tmp_path, str(tmp_path / "best")) == 2
    again = small_loop(tmp_path)
    again.state.restore(again.keeping.checkpoints.load(2))
    again.keeping.checkpoints.set_aside_after(2)
    again.run()
    for name, tensor in again.state.weights()["raw"].items():
        assert torch.equal(tensor, whole.state.weights()["raw"][name])


def test_a_best_step_without_a_checkpoint_of_its_own_is_written_and_adds_none_to_the_series(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, checkpoint_every=4)
    scripted(loop, 3, {0: 1.0, 3: 0.5, 6: 0.7})
    loop.run()
    assert best_step(tmp_path) == 3
    assert loop.keeping.checkpoints.steps() == [6]
    plain = toy_loop(tmp_path / "plain", checkpoint_every=3)
    plain.run()
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        path.name for path in (tmp_path / "plain/checkpoint-3").iterdir()
    }
    for name in ("trainable.safetensors", "ema.safetensors", "optimizer.safetensors"):
        assert (tmp_path / "best" / name).read_bytes() == (tmp_path / "plain/checkpoint-3" / name).read_bytes()


def test_a_best_that_cannot_be_written_is_said_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = small_loop(tmp_path)
    scripted(loop, 2, {0: 1.0, 2: 0.5, 4: 0.7, 6: 0.9})

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reeltune.train.best._link", full)
    loop.run()
    assert "could not be written for step 2: [Errno 28] No space left on device. Training goes on." in caplog.text
    assert loop.state.step == 6
    assert not list(tmp_path.glob(".best*"))


@pytest.mark.parametrize(
    ("start", "score", "left"),
    [
        (6, Score(4, 0.1), 4),
        (2, Score(2, 0.5), 2),
        (2, None, None),
        (None, None, None),
    ],
)
def test_a_run_that_goes_on_has_the_best_up_to_its_start(
    tmp_path: Path, start: int | None, score: Score | None, left: int | None
) -> None:
    loop = toy_loop(tmp_path)
    scripted(loop, 2, {0: 1.0, 2: 0.5, 4: 0.1, 6: 0.9})
    loop.run()
    assert best_step(tmp_path) == 4
    follow_start(loop.keeping.checkpoints, start, score)
    assert best_step(tmp_path) == left
    assert (tmp_path / "superseded-best").exists() == (left != 4)


def test_a_best_that_a_kill_left_without_a_name_comes_back(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path)
    scripted(loop, 2, {0: 1.0, 2: 0.5, 4: 0.1, 6: 0.9})
    loop.run()
    (tmp_path / "best").rename(tmp_path / ".best.old.77.writing")
    for step in (2, 4):
        loop.keeping.checkpoints.path(step).rename(tmp_path / f"gone-{step}")
    follow_start(loop.keeping.checkpoints, 6, Score(4, 0.1))
    assert best_step(tmp_path) == 4
    assert place_of(tmp_path, 4) == tmp_path / "best"
    assert place_of(tmp_path, 6) == tmp_path / "checkpoint-6"
