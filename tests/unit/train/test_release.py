"""Gradient release: the numbers of an ordinary run, with one gradient alive at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.toy import Ears, Toy, toy_batch, toy_batches, toy_loop
from helpers.trained import NoFiles
from reeltune.adapters.full import FullModel
from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.events import StepDone, StepSkipped
from reeltune.contracts.trained import Trained
from reeltune.errors import TrainingError
from reeltune.train.clipping import clipping
from reeltune.train.loop import Keeping, Loop
from reeltune.train.optimizers import build_optimizer
from reeltune.train.release import Release
from reeltune.train.results import Results
from reeltune.train.state import TrainState

OPTIMI = [name for name in OPTIMIZERS if name.startswith("optimi-")]
BF16 = torch.bfloat16


def released(loop: Loop) -> Loop:
    """Let a loop move its weights in the backward pass."""
    loop.clip = Release(loop.state, loop.clip)
    return loop


def as_it_is(loop: Loop) -> Loop:
    return loop


def toy(folder: Path, name: str, *, ears: Sequence[Ears] = (), steps: int = 5) -> Loop:
    loop = toy_loop(folder, steps=steps, checkpoint_every=2, sinks=ears, clip=clipping("value", 0.01))
    parameters = list(loop.state.trained.trainable().values())
    loop.state.optimizer = build_optimizer(name, parameters, learning_rate=1e-2)
    return loop


def same(one: TrainState, two: TrainState) -> None:
    first, second = one.snapshot(), two.snapshot()
    assert first.optimizer_scalars == second.optimizer_scalars
    for kind in first.weights:
        assert all(torch.equal(first.weights[kind][name], second.weights[kind][name]) for name in first.weights[kind])
    assert first.optimizer.keys() == second.optimizer.keys()
    assert all(torch.equal(first.optimizer[name], second.optimizer[name]) for name in first.optimizer)


@pytest.mark.parametrize("name", OPTIMI)
def test_five_steps_are_those_of_an_ordinary_run_to_the_bit(name: str, tmp_path: Path) -> None:
    heard = Ears(), Ears()
    ordinary = toy(tmp_path / "a", name, ears=[heard[0]])
    moved_at_once = released(toy(tmp_path / "b", name, ears=[heard[1]]))
    for loop in (ordinary, moved_at_once):
        loop.run()
    same(ordinary.state, moved_at_once.state)
    told = [[(one.loss, one.grad_norm, one.learning_rate) for one in ears.of(StepDone)] for ears in heard]
    assert told[0] == told[1]
    assert len(told[0]) == 5


def test_a_run_goes_on_from_its_checkpoint_with_release_or_without(tmp_path: Path) -> None:
    whole = toy(tmp_path / "a", "optimi-adamw")
    whole.run()
    pairs = [(released, released), (released, as_it_is), (as_it_is, released)]
    for number, (first, then) in enumerate(pairs):
        folder = tmp_path / f"{number}"
        stopped = first(toy(folder, "optimi-adamw"))
        stopped.stop_requested = lambda stopped=stopped: stopped.state.step == 2
        stopped.run()
        continued = then(toy(folder, "optimi-adamw"))
        continued.state.restore(continued.keeping.checkpoints.load(2))
        continued.run()
        same(whole.state, continued.state)


class Short(Toy):
    """The toy family in bfloat16."""

    def load_transformer(self, device: torch.device) -> nn.Module:
        return super().load_transformer(device).to(BF16)

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Tensor:
        return transformer(noised.x_t.to(BF16), noised.sigma.to(BF16), batch.text.to(BF16)).float()


def whole_model(folder: Path, family: Toy) -> Loop:
    """Return a loop that trains the toy transformer itself."""
    transformer = family.load_transformer(torch.device("cpu"))
    model = FullModel(transformer)
    optimizer = build_optimizer("optimi-adamw", list(model.trainable().values()), learning_rate=1e-2)
    loop = toy_loop(folder, family=family, steps=5, clip=clipping("value", 0.01))
    loop.transformer, loop.state = transformer, TrainState(model, optimizer, None)
    loop.keeping = Keeping(loop.keeping.checkpoints, Results("toy", "raw", NoFiles()), {})
    return loop


@dataclass
class Alive:
    """Counts the gradients that are there whenever one has come."""

    trained: Trained
    most: int = 0

    def watch(self) -> None:
        self.trained.on_gradient(lambda _: self.count())

    def count(self) -> None:
        there = sum(parameter.grad is not None for parameter in self.trained.trainable().values())
        self.most = max(self.most, there)


@pytest.mark.parametrize("family", [Toy(), Short()], ids=["float32", "bfloat16 with masters"])
def test_of_a_whole_model_one_gradient_is_alive_at_a_time(family: Toy, tmp_path: Path) -> None:
    ordinary, moved_at_once = whole_model(tmp_path / "a", family), whole_model(tmp_path / "b", family)
    counts = []
    for loop in (ordinary, moved_at_once):
        alive = Alive(loop.state.trained)
        alive.watch()  # counts before the release lets go, so that one is the least there can be
        if loop is moved_at_once:
            released(loop)
        for step in range(5):
            loop.train_step([toy_batch(step)])
        counts.append(alive.most)
    assert counts == [4, 1]
    same(ordinary.state, moved_at_once.state)
    first, second = (dict(loop.transformer.named_parameters()) for loop in (ordinary, moved_at_once))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(weight.grad is None for weight in second.values())


def test_a_step_without_finite_numbers_ends_the_run_and_saves_nothing(tmp_path: Path) -> None:
    def poisoned(start: int, end: int):
        for position, batch in enumerate(toy_batches(start, end), start):
            if position == 3:
                batch.latents[1, 0, 0, 0, 0] = math.nan
            yield batch

    ears = Ears()
    loop = released(toy(tmp_path, "optimi-lion", ears=[ears]))
    loop.read_batches = poisoned
    with pytest.raises(TrainingError, match=r"step 4 .*clip-3-0.*have moved by then.*checkpoint-2 is the last whole"):
        loop.run()
    assert [one.step for one in ears.of(StepSkipped)] == [4]
    assert loop.keeping.checkpoints.steps() == [2]
    saved = loop.keeping.checkpoints.load(2)
    assert all(tensor.isfinite().all() for kind in saved.weights.values() for tensor in kind.values())
