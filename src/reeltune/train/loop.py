"""The training loop: start here.

It sequences; what each part does was settled when the run was assembled. An adapter or a whole model, one GPU or eight,
this family or another: none is a branch here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.contracts.batch import Batch, Noised, StepResult
from reeltune.contracts.events import CheckpointSaved, Event, EventSink, RunFinished, RunStarted, StepDone, StepSkipped
from reeltune.contracts.family import Family
from reeltune.errors import TrainingError
from reeltune.randomness import Draws
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.clipping import Clip
from reeltune.train.render import Renders
from reeltune.train.results import Results, Weights
from reeltune.train.schedule import Every, Schedule
from reeltune.train.state import Snapshot, TrainState

SKIPS_IN_A_ROW = 3
"""Steps without a finite loss and gradient after which the run stops."""


@runtime_checkable
class Objective(Protocol):
    def noise(self, batch: Batch, *, step: int, first_index: int) -> Noised: ...

    def loss(self, velocity: Float[Tensor, "B C T h w"], noised: Noised) -> Float[Tensor, " B"]: ...


@dataclass(frozen=True)
class Pace:
    """How long the run is, how a step is made up, and when rare work is due.

    batch_size: samples in a full micro-batch. accumulation: micro-batches in a step.
    """

    total_steps: int
    batch_size: int
    accumulation: int
    checkpoint: Every
    render: Every


@dataclass
class Loop:
    """One run on one device."""

    pace: Pace
    family: Family
    transformer: nn.Module
    state: TrainState
    objective: Objective
    read_batches: Callable[[int, int], Generator[Batch, None, None]]
    schedule: Schedule
    clip: Clip
    draws: Draws
    checkpoints: Checkpoints
    results: Results
    renders: Renders | None
    config: dict[str, Any]
    device: torch.device
    sinks: Sequence[EventSink] = ()
    stop_requested: Callable[[], bool] = lambda: False
    skipped_in_a_row: int = field(default=0, init=False)

    def run(self) -> None:
        """Train until the last step or a stop request; always leave a whole checkpoint behind."""
        self.emit(RunStarted(self.state.step, self.pace.total_steps))
        with closing(self.read_batches(self.state.step * self.pace.accumulation, self._end)) as batches:
            self.train(batches)
        stopped = self.state.step < self.pace.total_steps
        self.publish(self.save())
        if not stopped and self.renders and not self.renders.done(self.state.step):
            self.render()
        self.emit(RunFinished(self.state.step, stopped))

    def train(self, batches: Iterator[Batch]) -> None:
        """Take step after step, and between steps the rare work that is due."""
        while self.state.step < self.pace.total_steps and not self.stop_requested():
            started = time.monotonic()
            micro_batches = [next(batches) for _ in range(self.pace.accumulation)]
            fetched = time.monotonic()
            self.report(self.train_step(micro_batches), started=started, fetched=fetched)

            # Once in a while. Rare work stays out of the step, and reads weights only.
            if self.pace.checkpoint.due(self.state.step):
                self.save()
            if self.pace.render.due(self.state.step):
                self.render()

    def train_step(self, micro_batches: Sequence[Batch]) -> StepResult:
        """Take one optimizer step: its loss is the mean over all samples, whatever the sizes of the micro-batches."""
        samples = sum(batch.size for batch in micro_batches)
        losses = []
        for index, batch in enumerate(batch.to(self.device) for batch in micro_batches):
            self.draws.reseed_modules(step=self.state.step, micro_batch=index)
            noised = self.objective.noise(batch, step=self.state.step, first_index=index * self.pace.batch_size)
            velocity = self.family.predict(self.transformer, noised, batch)
            loss = self.objective.loss(velocity, noised)
            (loss.sum() / samples).backward()
            losses.append(loss.detach())
        result = self.result_of(micro_batches, torch.cat(losses))
        if result.finite:
            self.move(result.learning_rate)
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        return result

    def result_of(self, micro_batches: Sequence[Batch], losses: Float[Tensor, " samples"]) -> StepResult:
        """Clip the gradients and read back, in the step's one synchronisation, what there is to report."""
        grad_norm = self.clip(self.state.parameters)
        mean, norm = torch.stack([losses.mean(), grad_norm]).tolist()
        return StepResult(
            loss=mean,
            grad_norm=norm,
            learning_rate=self.schedule.rate(self.state.step),
            ids=tuple(sample for batch in micro_batches for sample in batch.ids),
            tokens=sum(batch.size * self.tokens_of(batch) for batch in micro_batches),
        )

    def move(self, learning_rate: float) -> None:
        """Let the optimizer move the weights, and the average follow."""
        for group in self.state.optimizer.param_groups:
            group["lr"] = learning_rate
        self.state.optimizer.step()
        if self.state.ema:
            self.state.ema.update(self.state.step + 1)

    def report(self, result: StepResult, *, started: float, fetched: float) -> None:
        """Tell the sinks about a step; stop the run when steps keep coming without finite numbers."""
        step = self.state.step
        if not result.finite:
            self.skipped_in_a_row += 1
            self.emit(StepSkipped(step, result.loss, result.grad_norm, result.ids))
            if self.skipped_in_a_row == SKIPS_IN_A_ROW:
                raise TrainingError(_not_finite(step, result))
            return
        self.skipped_in_a_row = 0
        self.emit(
            StepDone(
                step=step,
                total_steps=self.pace.total_steps,
                loss=result.loss,
                grad_norm=result.grad_norm,
                learning_rate=result.learning_rate,
                tokens=result.tokens,
                seconds=time.monotonic() - started,
                data_seconds=fetched - started,
            )
        )

    def save(self) -> Snapshot:
        """Write a checkpoint of this step, if there is none yet."""
        started = time.monotonic()
        snapshot = self.state.snapshot()
        if self.state.step not in self.checkpoints.steps():
            path = self.checkpoints.save(
                snapshot, self.config, lambda folder: self.results.write(folder, weights_of(snapshot))
            )
            self.emit(CheckpointSaved(self.state.step, path, time.monotonic() - started))
        return snapshot

    def publish(self, snapshot: Snapshot) -> None:
        """Copy the adapter files of a checkpoint to the run folder."""
        self.results.publish(self.checkpoints.path(snapshot.step), self.checkpoints.folder)

    def render(self) -> None:
        """Make the validation videos of this step."""
        if self.renders:
            for event in self.renders.render(self.state.step, weights_of(self.state.snapshot())):
                self.emit(event)

    def emit(self, event: Event) -> None:
        for sink in self.sinks:
            sink.receive(event)

    def tokens_of(self, batch: Batch) -> int:
        bucket = batch.bucket
        geometry = self.family.facts.geometry
        return geometry.tokens(frames=bucket.frames, height=bucket.height, width=bucket.width)

    @property
    def _end(self) -> int:
        return self.pace.total_steps * self.pace.accumulation


def weights_of(snapshot: Snapshot) -> dict[Weights, dict[str, Tensor]]:
    """Return the raw weights, and the averaged ones where there are any."""
    weights: dict[Weights, dict[str, Tensor]] = {"raw": snapshot.trainable}
    if snapshot.ema:
        weights["ema"] = snapshot.ema
    return weights


def _not_finite(step: int, result: StepResult) -> str:
    return (
        f"{SKIPS_IN_A_ROW} steps in a row had no finite loss or gradient, the last at step {step} "
        f"(loss {result.loss}, gradient norm {result.grad_norm}, samples {', '.join(result.ids)}). "
        "The weights were not moved; the last checkpoint is whole. A lower learning_rate is the usual remedy."
    )
