"""What each step tells, and that telling it never waits for the device."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.toy import Ears, toy_batch, toy_loop
from reeltune.adapters.change_size import sizes_by_block
from reeltune.adapters.lora import Lora
from reeltune.contracts.batch import Batch
from reeltune.contracts.events import StepDone
from reeltune.train.clipping import clipping
from reeltune.train.loop import Loop
from reeltune.train.running_losses import RunningLosses
from reeltune.train.schedule import Every
from reeltune.train.watch import Watch, read_back

WAITING = ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__")
"""What on a GPU waits for it."""


def watching(folder: Path, *, every: int = 1, sinks: Any = (), **changes: Any) -> Loop:
    """Return a toy loop that looks at all that can be looked at."""
    loop = toy_loop(folder, sinks=sinks, **changes)
    lora = loop.state.trained
    assert isinstance(lora, Lora)
    loop.watch = Watch(
        change_sizes=lambda: sizes_by_block(lora.changes(), loop.transformer, "layers"),
        sizes_due=Every(every),
        operations=lambda batch: 10**6 * batch.size,
        peak=1e9,
        memory=lambda: 123,
    )
    return loop


class Reads(TorchDispatchMode):
    """Counts operations that hand a number to the host."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_all_that_a_step_tells_is_read_back_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = watching(tmp_path, accumulation=2)
    loop.train_step([toy_batch(0), toy_batch(1)])  # the optimizer makes its state
    called: Counter[str] = Counter()

    def counted(name: str) -> None:
        method = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda *words, **more: called.update([name]) or method(*words, **more))

    for name in WAITING:
        counted(name)
    with Reads() as reads:
        result = loop.train_step([toy_batch(2), toy_batch(3)])
    assert called == {"tolist": 1}
    assert reads.count == 0
    assert len(result.losses) == 4
    assert result.weight_change


def test_a_step_tells_each_sample_and_their_mean_is_the_loss(tmp_path: Path) -> None:
    ears = Ears()
    watching(tmp_path, accumulation=2, sinks=[ears]).run()
    running = RunningLosses()
    for event in ears.of(StepDone):
        assert len(event.losses) == len(event.sigmas) == 4
        # The mean is taken in float32.
        assert sum(event.losses) / 4 == pytest.approx(event.loss, rel=1e-6)
        running.add(event.sigmas, event.losses)
        assert event.loss_by_sigma == running.means()
        assert event.memory_bytes == 123
        assert event.mfu == pytest.approx(4e6 / (event.seconds * 1e9))
        assert event.tokens_per_second == event.tokens / event.seconds


def test_gradients_are_told_as_they_were_before_clipping(tmp_path: Path) -> None:
    loops = [toy_loop(tmp_path / str(limit), clip=clipping("norm", limit)) for limit in (0.0, 1e-6)]
    results = [loop.train_step([toy_batch(0)]) for loop in loops]
    assert results[0].grad_norm == results[1].grad_norm > results[1].grad_max > 1e-6
    assert results[0].grad_max == results[1].grad_max


@pytest.mark.parametrize("found", [0.5, torch.tensor(0.5)], ids=["host", "device"])
def test_the_rate_that_an_optimizer_finds_is_told_beside_the_one_it_was_given(tmp_path: Path, found: Any) -> None:
    loop = toy_loop(tmp_path)
    loop.state.optimizer.param_groups[0].update({"d": found, "d_coef": 1.0})
    result = loop.train_step([toy_batch(0)])
    assert result.effective_rate == pytest.approx(0.5 * result.learning_rate)


def test_the_size_of_the_change_is_told_when_due_and_begins_at_nothing(tmp_path: Path) -> None:
    ears, rare = Ears(), Ears()
    loop = watching(tmp_path / "a", sinks=[ears])
    loop.run()
    sizes = [event.weight_change["outside"] for event in ears.of(StepDone)]
    assert sizes[0] == 0
    assert sorted(sizes) == sizes
    watching(tmp_path / "b", every=4, sinks=[rare]).run()
    told = {event.step: event.weight_change for event in rare.of(StepDone)}
    assert {step: bool(change) for step, change in told.items()} == {step: step == 4 for step in range(1, 7)}
    assert told[4]["outside"] == sizes[3]


def test_a_skipped_step_counts_in_no_running_loss(tmp_path: Path) -> None:
    ears = Ears()

    def read(start: int, end: int) -> Generator[Batch, None, None]:
        for position in range(start, end):
            batch = toy_batch(position)
            yield replace(batch, latents=batch.latents * math.nan) if position == 2 else batch

    loop = watching(tmp_path, sinks=[ears], read_batches=read)
    loop.run()
    running = RunningLosses()
    for event in ears.of(StepDone):
        running.add(event.sigmas, event.losses)
    assert len(ears.of(StepDone)) == 5
    assert loop.watch.by_sigma.means() == running.means()


def test_looking_changes_no_number_of_training(tmp_path: Path) -> None:
    plain, watched = Ears(), Ears()
    loops = [toy_loop(tmp_path / "a", sinks=[plain]), watching(tmp_path / "b", sinks=[watched])]
    for loop in loops:
        loop.run()
    assert [event.loss for event in plain.of(StepDone)] == [event.loss for event in watched.of(StepDone)]
    one, two = (loop.state.weights()["raw"] for loop in loops)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_nothing_that_is_unknown_is_made_up(tmp_path: Path) -> None:
    ears = Ears()
    toy_loop(tmp_path, steps=1, sinks=[ears]).run()
    (event,) = ears.of(StepDone)
    assert (event.memory_bytes, event.mfu, event.weight_change, event.effective_rate) == (None, None, {}, None)


def test_numbers_come_back_under_their_names_whatever_their_shape() -> None:
    read = read_back({"one": torch.tensor(1.5), "some": torch.arange(6.0).reshape(2, 3), "none": torch.zeros(0)})
    assert read == {"one": (1.5,), "some": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), "none": ()}
