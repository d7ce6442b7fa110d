"""What the loop promises, on a toy family: it needs nothing of the real one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.toy import Ears, Toy, toy_batch, toy_loop
from reeltune.contracts.batch import Batch
from reeltune.contracts.events import (
    CheckpointSaved,
    Event,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)
from reeltune.contracts.family import Family
from reeltune.errors import TrainingError
from reeltune.objective.flow import FlowMatching
from reeltune.randomness import Draws
from reeltune.train.loop import Loop


def losses(ears: Ears) -> dict[int, float]:
    return {event.step: event.loss for event in ears.of(StepDone)}


def same_weights(one: Loop, two: Loop) -> bool:
    first, second = one.state.weights(), two.state.weights()
    return all(torch.equal(first[kind][name], second[kind][name]) for kind in first for name in first[kind])


def test_a_toy_family_fills_the_seam() -> None:
    assert isinstance(Toy(), Family)


def test_events_come_in_order_and_checkpoints_when_due(tmp_path: Path) -> None:
    ears = Ears()
    toy_loop(tmp_path, sinks=[ears]).run()
    assert isinstance(ears.heard[0], RunStarted)
    assert ears.heard[-1] == RunFinished(6, stopped=False)
    assert [event.step for event in ears.of(CheckpointSaved)] == [2, 4, 6]
    assert list(losses(ears)) == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "pytorch_lora_weights.safetensors").exists()
    assert ears.of(StepDone)[0].tokens == 2 * 2 * 2 * 2


@pytest.mark.parametrize("accumulation", [1, 2])
def test_ten_steps_are_four_and_six_more(tmp_path: Path, accumulation: int) -> None:
    whole, first, second = Ears(), Ears(), Ears()
    unbroken = toy_loop(tmp_path / "a", steps=10, accumulation=accumulation, sinks=[whole])
    unbroken.run()
    stopping = toy_loop(tmp_path / "b", steps=10, accumulation=accumulation, sinks=[first])
    stopping.stop_requested = lambda: stopping.state.step == 4
    stopping.run()
    assert first.heard[-1] == RunFinished(4, stopped=True)
    torch.rand(7)  # whatever happened to the global state meanwhile
    continued = toy_loop(tmp_path / "b", steps=10, accumulation=accumulation, sinks=[second])
    continued.state.restore(continued.keeping.checkpoints.load(4))
    continued.run()
    assert losses(first) | losses(second) == losses(whole)
    assert same_weights(unbroken, continued)


def test_one_batch_of_four_is_four_batches_of_one_and_uneven_ones_too(tmp_path: Path) -> None:
    whole = toy_batch(0, size=4)

    def parts(*sizes: int) -> list[Batch]:
        edges = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        return [
            replace(whole, latents=whole.latents[a:b], text=whole.text[a:b], ids=whole.ids[a:b])
            for a, b in zip(edges, edges[1:], strict=False)
        ]

    outcomes = []
    for number, sizes in enumerate([(4,), (1, 1, 1, 1), (2, 2), (3, 1)]):
        loop = toy_loop(tmp_path / str(number), accumulation=len(sizes), dropout=0.0)
        # Samples keep their place in the step, and so their noise, when micro-batches are full.
        loop.pace = replace(loop.pace, batch_size=sizes[0])
        result = loop.train_step(parts(*sizes))
        outcomes.append((result.loss, result.grad_norm))
    for outcome in outcomes[1:]:
        assert outcome == pytest.approx(outcomes[0], rel=1e-5)


def test_rendering_changes_nothing_of_training(tmp_path: Path) -> None:
    without, with_videos, failing = Ears(), Ears(), Ears()
    plain = toy_loop(tmp_path / "a", sinks=[without])
    rendering = toy_loop(tmp_path / "b", render_every=2, sinks=[with_videos])
    broken = toy_loop(tmp_path / "c", render_every=2, family=Toy(RuntimeError("no kernel")), sinks=[failing])
    for loop in (plain, rendering, broken):
        loop.run()
    assert losses(without) == losses(with_videos) == losses(failing)
    assert same_weights(plain, rendering)
    assert same_weights(plain, broken)
    assert [event.step for event in with_videos.of(SampleRendered)] == [2, 2, 4, 4, 6, 6]
    assert {event.reason for event in failing.of(RenderFailed)} == {"RuntimeError: no kernel"}
    assert sorted(path.name for path in (tmp_path / "b/validation").iterdir())[0] == "step-000002-a_b_c-ema.mp4"


def test_a_failing_listener_is_left_out_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Ears):
        def receive(self, event: Event) -> None:
            super().receive(event)
            if isinstance(event, StepDone):
                raise OSError("No space left on device")

    broken, ears = Broken(), Ears()
    toy_loop(tmp_path, sinks=[broken, ears]).run()
    assert len(losses(ears)) == 6
    assert len(broken.of(StepDone)) == 1
    assert caplog.text.count("Broken failed and hears no more of this run: No space left") == 1


def poisoned(*positions: int):
    """Return a source of batches in which those at some positions hold a NaN."""

    def read(start: int, end: int):
        for position in range(start, end):
            batch = toy_batch(position)
            if position in positions:
                batch.latents[1, 0, 0, 0, 0] = math.nan
            yield batch

    return read


def test_a_step_without_finite_numbers_moves_nothing_and_is_written_down(tmp_path: Path) -> None:
    ears = Ears()
    loop = toy_loop(tmp_path, sinks=[ears], read_batches=poisoned(2, 3))
    loop.run()
    assert list(losses(ears)) == [1, 2, 5, 6]
    skipped = ears.of(StepSkipped)
    assert [(event.step, event.ids) for event in skipped] == [
        (3, ("clip-2-0", "clip-2-1")),
        (4, ("clip-3-0", "clip-3-1")),
    ]
    levels = [FlowMatching(Draws(0)).sigma(step=2, index=place, shift=1.0) for place in (0, 1)]
    assert skipped[0].sigmas == pytest.approx(levels)
    assert all(tensor.isfinite().all() for tensor in loop.state.weights()["raw"].values())
    checkpoints = loop.keeping.checkpoints
    two, four = (checkpoints.load(step).weights["raw"] for step in (2, 4))
    assert all(torch.equal(two[name], four[name]) for name in two)


def test_three_in_a_row_stop_the_run_with_the_good_weights_saved(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, checkpoint_every=0, read_batches=poisoned(1, 2, 3))
    with pytest.raises(TrainingError, match="3 steps in a row.*clip-3-0.*checkpoint-4 holds them"):
        loop.run()
    saved = loop.keeping.checkpoints.load(4)
    assert all(tensor.isfinite().all() for kind in saved.weights.values() for tensor in kind.values())


def test_dropout_is_a_function_of_the_step_alone(tmp_path: Path) -> None:
    results = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        loop = toy_loop(tmp_path / str(disturbance), dropout=0.5)
        loop.train_step([toy_batch(0)])
        torch.rand(disturbance)
        results.append(loop.train_step([toy_batch(1)]).loss)
    assert results[0] == results[1]


def test_the_rate_that_is_reported_is_the_rate_that_was_used(tmp_path: Path) -> None:
    ears = Ears()
    loop = toy_loop(tmp_path, sinks=[ears])
    loop.run()
    assert [event.learning_rate for event in ears.of(StepDone)] == [loop.schedule.rate(step) for step in range(6)]
    assert loop.state.optimizer.param_groups[0]["lr"] == loop.schedule.rate(5)
