"""A checkpoint folder that exists is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.trained import PlainTensors
from reeltune.errors import CheckpointError
from reeltune.tensor_files import save_tensors
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.ema import Ema
from reeltune.train.optimizers import build_optimizer
from reeltune.train.results import Results
from reeltune.train.state import Snapshot, TrainState


def state_after(steps: int, optimizer: str = "torch-adamw") -> TrainState:
    torch.manual_seed(1)
    weights = PlainTensors({"a": (3, 2), "b": (4,)})
    parameters = list(weights.tensors.values())
    state = TrainState(
        weights,
        build_optimizer(optimizer, parameters, learning_rate=1e-2),
        Ema(weights.tensors, decay=0.9, interval=1),
    )
    go_on(state, steps)
    return state


def go_on(state: TrainState, steps: int) -> None:
    for _ in range(steps):
        for index, parameter in enumerate(state.parameters):
            generator = torch.Generator().manual_seed(100 * state.step + index)
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        state.optimizer.step()
        state.step += 1
        assert state.ema
        state.ema.update(state.step)


def snapshots_equal(one: Snapshot, two: Snapshot) -> bool:
    assert one.weights.keys() == two.weights.keys()
    pairs = [(one.weights[kind], two.weights[kind]) for kind in one.weights] + [(one.optimizer, two.optimizer)]
    return all(
        first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
        for first, second in pairs
    )


def nothing_more(folder: Path) -> None:
    """Stand in for the adapter files."""


@pytest.mark.parametrize("optimizer", ["torch-adamw", "optimi-adamw", "optimi-lion"])
def test_a_run_continued_from_disk_is_the_run_that_was_never_stopped(tmp_path, optimizer: str) -> None:
    whole = state_after(9, optimizer)
    stopped = state_after(4, optimizer)
    checkpoints = Checkpoints(tmp_path, limit=2)
    checkpoints.save(stopped.snapshot(), {}, nothing_more)
    continued = state_after(0, optimizer)
    continued.restore(checkpoints.load(4))
    go_on(continued, 5)
    assert continued.step == 9
    assert snapshots_equal(continued.snapshot(), whole.snapshot())


def test_a_snapshot_does_not_change_when_training_goes_on() -> None:
    state = state_after(2)
    snapshot = state.snapshot()
    before = {name: tensor.clone() for name, tensor in snapshot.weights["raw"].items()}
    go_on(state, 3)
    assert all(torch.equal(before[name], snapshot.weights["raw"][name]) for name in before)


def test_exactly_the_newest_are_kept(tmp_path) -> None:
    checkpoints, state = Checkpoints(tmp_path, limit=2), state_after(0)
    for _ in range(5):
        go_on(state, 1)
        checkpoints.save(state.snapshot(), {}, nothing_more)
    assert checkpoints.steps() == [4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-5"]


def test_a_save_that_fails_leaves_the_older_ones_and_nothing_else(tmp_path) -> None:
    checkpoints, state = Checkpoints(tmp_path, limit=1), state_after(1)
    checkpoints.save(state.snapshot(), {}, nothing_more)
    go_on(state, 1)

    def full_disk(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left"):
        checkpoints.save(state.snapshot(), {}, full_disk)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    assert snapshots_equal(checkpoints.load(1), state_after(1).snapshot())


def test_what_a_killed_process_left_is_no_checkpoint_and_is_cleared(tmp_path) -> None:
    (tmp_path / ".checkpoint-7.writing").mkdir()
    (tmp_path / "checkpoint-foo").mkdir()
    (tmp_path / "checkpoint-foo/.a.mp4.123.writing").write_text("half")
    checkpoints = Checkpoints(tmp_path, limit=2)
    assert checkpoints.steps() == []
    checkpoints.clear_drafts()
    assert [path.name for path in tmp_path.rglob("*")] == ["checkpoint-foo"]


def test_a_damaged_checkpoint_names_an_older_one(tmp_path) -> None:
    checkpoints, state = Checkpoints(tmp_path, limit=2), state_after(1)
    checkpoints.save(state.snapshot(), {}, nothing_more)
    go_on(state, 1)
    place = checkpoints.save(state.snapshot(), {}, nothing_more)
    (place / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="resume_from_checkpoint=checkpoint-1"):
        checkpoints.load(2)


def test_a_checkpoint_of_other_tensors_is_refused_in_words(tmp_path) -> None:
    snapshot = state_after(1).snapshot()
    snapshot.weights["raw"]["another"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="trained other tensors, such as another"):
        state_after(0).restore(snapshot)


def test_a_checkpoint_of_other_shapes_is_refused_in_words(tmp_path) -> None:
    snapshot = state_after(1).snapshot()
    snapshot.weights["raw"]["b"] = torch.zeros(5)
    with pytest.raises(CheckpointError, match="trained other tensors, such as b"):
        state_after(0).restore(snapshot)


def test_what_does_not_move_is_kept_with_the_checkpoint(tmp_path) -> None:
    checkpoints, state = Checkpoints(tmp_path, limit=2), state_after(1)
    assert isinstance(state.trained, PlainTensors)
    state.trained.start = torch.randn(3)
    place = checkpoints.save(state.snapshot(), {}, nothing_more)
    assert (place / "fixed.safetensors").exists()
    again = state_after(0)
    again.restore(checkpoints.load(1))
    assert torch.equal(again.trained.fixed()["start"], state.trained.start)


class Files:
    """A stand-in for a publisher: a file, and a folder whose files depend on the step."""

    def __init__(self, weights: PlainTensors) -> None:
        self.weights = weights

    def write(self, folder: Path, run_name: str, *, step: int) -> None:
        save_tensors(folder / "main.safetensors", {"w": self.weights.tensors["a"].detach()})
        save_tensors(folder / "folder" / f"{run_name}-{step}", {"w": self.weights.tensors["b"].detach()})

    def prove(self, scratch: Path) -> None: ...

    def places(self, run_name: str) -> tuple[Path, ...]:
        return (Path("main.safetensors"), Path("folder"))


@pytest.mark.parametrize(("main", "other"), [("raw", "ema"), ("ema", "raw")])
def test_the_result_holds_the_weights_that_were_looked_at(tmp_path, main, other) -> None:
    state = state_after(3)
    assert isinstance(state.trained, PlainTensors)
    results, weights = Results("my run", main, Files(state.trained)), state.weights()
    checkpoint, run = tmp_path / "checkpoint-3", tmp_path / "run"
    (run / "folder").mkdir(parents=True)
    (run / "folder/my run-2").write_text("of an earlier step")
    results.write(checkpoint, state)
    results.publish(checkpoint, run)
    for folder in (checkpoint, run):
        for kind, place in ((main, folder), (other, folder / other)):
            assert torch.equal(load_file(place / "main.safetensors")["w"], weights[kind]["a"])
            assert torch.equal(load_file(place / "folder/my run-3")["w"], weights[kind]["b"])
    assert [path.name for path in (run / "folder").iterdir()] == ["my run-3"]
    assert torch.equal(state.trained.tensors["a"], weights["raw"]["a"])


def test_weights_that_are_no_longer_kept_apart_go_from_the_results(tmp_path) -> None:
    state = state_after(1)
    assert isinstance(state.trained, PlainTensors)
    results, run = Results("r", "raw", Files(state.trained)), tmp_path / "run"
    for number, averaged in enumerate((True, False)):
        state.ema = state.ema if averaged else None
        results.write(tmp_path / str(number), state)
        results.publish(tmp_path / str(number), run)
        assert (run / "ema").exists() == averaged


KILLED_WHILE_SAVING = """
import os, signal, sys
import signal
import subprocess
import sys
from pathlib import Path
import torch
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.state import Snapshot
weights = {"raw": {"a": torch.ones(3)}}
checkpoints = Checkpoints(Path(sys.argv[1]), limit=1)
checkpoints.save(Snapshot(1, weights, {}, {}), {}, lambda folder: None)
checkpoints.save(Snapshot(2, weights, {}, {}), {}, lambda folder: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_killed_in_the_middle_of_a_save_the_older_checkpoint_stands(tmp_path) -> None:
    outcome = subprocess.run([sys.executable, "-c", KILLED_WHILE_SAVING, str(tmp_path)], check=False)
    assert outcome.returncode == -signal.SIGKILL
    checkpoints = Checkpoints(tmp_path, limit=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".checkpoint-2.writing", "checkpoint-1"]
    assert checkpoints.steps() == [1]
    assert torch.equal(checkpoints.load(1).weights["raw"]["a"], torch.ones(3))
    checkpoints.clear_drafts()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
