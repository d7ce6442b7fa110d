"""The training loop: start here.

It sequences; what each part does was settled when the run was assembled. What is trained, how, and which model it is:
none of these is a branch here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.contracts.batch import Batch, Noised, StepResult
from reeltune.contracts.events import CheckpointSaved, Event, EventSink, RunFinished, RunStarted, StepSkipped
from reeltune.contracts.family import Family
from reeltune.errors import TrainingError
from reeltune.modes import in_evaluation
from reeltune.randomness import Draws
from reeltune.train.best import keep_best
from reeltune.train.checkpoint import Checkpoints, Records, write_checkpoint
from reeltune.train.clipping import Clip
from reeltune.train.dropout import reseed_modules
from reeltune.train.evaluate import Evaluation
from reeltune.train.render import Renders
from reeltune.train.results import Results
from reeltune.train.schedule import Every, Schedule
from reeltune.train.state import TrainState
from reeltune.train.watch import Watch, found_rate, read_back

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


@dataclass(frozen=True)
class Keeping:
    """What is kept of a run, and where. records: JSON files that go into each checkpoint."""

    checkpoints: Checkpoints
    results: Results
    records: Records


@dataclass
class Loop:
    """One run on one device. read_batches: gives the micro-batches from one position up to another."""

    pace: Pace
    family: Family
    transformer: nn.Module
    state: TrainState
    objective: Objective
    read_batches: Callable[[int, int], Generator[Batch, None, None]]
    schedule: Schedule
    clip: Clip
    draws: Draws
    keeping: Keeping
    renders: Renders | None
    device: torch.device
    audience: EventSink
    stop_requested: Callable[[], bool] = lambda: False
    evaluation: Evaluation | None = None
    watch: Watch = field(default_factory=Watch)
    skipped_in_a_row: int = field(default=0, init=False)

    def run(self) -> None:
        """Train until the last step or a stop request; leave a whole checkpoint and the adapter files behind."""
        self.audience.receive(RunStarted(self.state.step, self.pace.total_steps))
        self.show_start()
        first, end = (step * self.pace.accumulation for step in (self.state.step, self.pace.total_steps))
        with closing(self.read_batches(first, end)) as batches:
            self.train(batches)
        stopped = self.state.step < self.pace.total_steps
        self.save()
        self.publish()
        if not stopped:
            self.show_results()
        self.audience.receive(RunFinished(self.state.step, stopped))

    def train(self, batches: Iterator[Batch]) -> None:
        """Take step after step, and between steps the rare work that is due."""
        while self.state.step < self.pace.total_steps and not self.stop_requested():
            started = time.monotonic()
            micro_batches = [next(batches) for _ in range(self.pace.accumulation)]
            fetched = time.monotonic()
            self.report(self.train_step(micro_batches), started=started, fetched=fetched)

            # Once in a while. Rare work stays out of the step, and reads weights only. After the last step all of it
            # comes, due or not, and the saving first.
            if self.state.step < self.pace.total_steps:
                self.do_rare_work()

    def show_start(self) -> None:
        """Measure what the run begins with, and render the bare base, as far as it is not asked to stop."""
        if self.evaluation and self.evaluation.owed(self.state):
            self.evaluate(self.evaluation)
        if self.renders and self.state.step == 0 and not self.stop_requested():
            self.tell(self.renders.benchmark())

    def do_rare_work(self) -> None:
        """Save, measure and render what is due after this step."""
        if self.pace.checkpoint.due(self.state.step):
            self.save()
        if self.evaluation and self.evaluation.every.due(self.state.step):
            self.evaluate(self.evaluation)
        if self.renders and self.pace.render.due(self.state.step) and not self.stop_requested():
            self.render(self.renders)

    def show_results(self) -> None:
        """Measure and render what the run has come to, as far as it is not asked to stop."""
        if self.evaluation and not self.evaluation.done(self.state):
            self.evaluate(self.evaluation)
        if self.renders and not self.renders.done(self.state.step) and not self.stop_requested():
            self.render(self.renders)

    def train_step(self, micro_batches: Sequence[Batch]) -> StepResult:
        """Take one optimizer step: its loss is the mean over all samples, whatever the sizes of the micro-batches."""
        samples = sum(batch.size for batch in micro_batches)
        losses, sigmas = [], []
        self.state.set_rate(self.schedule.rate(self.state.step))
        sizes = self.watch.sizes(self.state.step + 1)
        for index, batch in enumerate(batch.to(self.device) for batch in micro_batches):
            reseed_modules(self.draws, step=self.state.step, micro_batch=index)
            noised = self.objective.noise(batch, step=self.state.step, first_index=index * self.pace.batch_size)
            if batch.prior:
                noised = replace(noised, target=self.answer_of_base(noised, batch))
            velocity = self.family.predict(self.transformer, noised, batch)
            loss = self.objective.loss(velocity, noised)
            (loss.sum() / samples).backward()
            losses.append(loss.detach())
            sigmas.append(noised.sigma)
        result = self.result_of(micro_batches, torch.cat(losses), torch.cat(sigmas), sizes)
        if result.finite:
            self.state.move()
        self.state.average()
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        return result

    @torch.no_grad()
    def answer_of_base(self, noised: Noised, batch: Batch) -> Float[Tensor, "B C T h w"]:
        """Return the velocity without what is trained, and without dropout: it keeps the base's knowledge as it is."""
        with self.state.trained.disabled(), in_evaluation(self.transformer):
            return self.family.predict(self.transformer, noised, batch)

    def result_of(
        self,
        micro_batches: Sequence[Batch],
        losses: Float[Tensor, " samples"],
        sigmas: Float[Tensor, " samples"],
        sizes: Mapping[str, Float[Tensor, ""]],
    ) -> StepResult:
        """Clip the gradients and read back, in the step's one synchronisation, what there is to report."""
        gradients = self.clip(self.state.parameters)
        totals = {"loss": losses.mean(), "grad_norm": gradients.norm, "grad_max": gradients.largest}
        totals |= found_rate(self.state.optimizer, like=losses)
        read = read_back({**totals, "losses": losses, "sigmas": sigmas, **sizes})
        return StepResult(
            **{name: read[name][0] for name in totals},
            learning_rate=self.schedule.rate(self.state.step),
            ids=tuple(sample for batch in micro_batches for sample in batch.ids),
            sigmas=read["sigmas"],
            losses=read["losses"],
            tokens=sum(batch.size * self.tokens_of(batch) for batch in micro_batches),
            operations=self.watch.operations_of(micro_batches),
            weight_change={block: read[block][0] for block in sizes},
        )

    def report(self, result: StepResult, *, started: float, fetched: float) -> None:
        """Tell about a step that is done, or that was skipped."""
        if not result.finite:
            self.report_skipped(result)
            return
        self.skipped_in_a_row = 0
        step, total_steps = self.state.step, self.pace.total_steps
        seconds, data_seconds = time.monotonic() - started, fetched - started
        self.audience.receive(
            self.watch.told(result, step=step, total_steps=total_steps, seconds=seconds, data_seconds=data_seconds)
        )

    def report_skipped(self, result: StepResult) -> None:
        """Tell about a step without finite numbers; when they keep coming, save and stop."""
        step, seed = self.state.step, self.draws.seed
        self.audience.receive(StepSkipped(step, result.loss, result.grad_norm, result.ids, result.sigmas, seed))
        if self.state.moves_in_backward:
            raise TrainingError(_not_taken_back(step, result, self.keeping.checkpoints))
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row == SKIPS_IN_A_ROW:
            # The weights are those of the last good step, and the next run starts behind the bad ones.
            self.save()
            raise TrainingError(_not_finite(step, result))

    def save(self) -> None:
        """Write a checkpoint of this step, if there is none yet."""
        checkpoints, started = self.keeping.checkpoints, time.monotonic()
        if self.state.step in checkpoints.steps():
            return
        snapshot = self.state.snapshot()
        path = checkpoints.save(
            snapshot, self.keeping.records, lambda folder: self.keeping.results.write(folder, self.state)
        )
        self.audience.receive(CheckpointSaved(self.state.step, path, time.monotonic() - started))

    def publish(self) -> None:
        """Copy the result files of this step's checkpoint to the run folder."""
        checkpoints = self.keeping.checkpoints
        self.keeping.results.publish(checkpoints.path(self.state.step), checkpoints.folder)

    def evaluate(self, evaluation: Evaluation) -> None:
        """Measure the held-out clips with the weights of this step, and keep it if it is the best so far."""
        self.tell(evaluation.measure(self.state, self.stop_requested))
        best = evaluation.best(self.keeping.results.result_of(self.state))
        if best and best.step == self.state.step and evaluation.team.leads:
            keep_best(self.keeping.checkpoints, best, self.write_checkpoint)

    def write_checkpoint(self, folder: Path) -> None:
        """Fill a folder with all that a checkpoint of this step holds."""
        write_checkpoint(folder, self.state.snapshot(), self.keeping.records)
        self.keeping.results.write(folder, self.state)

    def render(self, renders: Renders) -> None:
        """Make the validation videos of this step."""
        self.tell(renders.render(self.state.step))

    def tell(self, events: Iterable[Event]) -> None:
        """Pass on what happens while it happens, until the run is asked to stop."""
        for event in events:
            self.audience.receive(event)
            if self.stop_requested():
                break

    def tokens_of(self, batch: Batch) -> int:
        return self.family.facts.geometry.tokens_of(batch.bucket)


def _not_finite(step: int, result: StepResult) -> str:
    return (
        f"{SKIPS_IN_A_ROW} steps in a row had no finite loss or gradient, the last at step {step} "
        f"(loss {result.loss}, gradient norm {result.grad_norm}, samples {', '.join(result.ids)}). "
        f"The weights were not moved; checkpoint-{step} holds them. A lower learning_rate is the usual remedy."
    )


def _not_taken_back(step: int, result: StepResult, checkpoints: Checkpoints) -> str:
    whole = checkpoints.steps()
    return (
        f"step {step} had no finite loss or gradient (loss {result.loss}, gradient norm {result.grad_norm}, samples "
        f"{', '.join(result.ids)}). With optimizer_release_gradients the weights have moved by then, and are lost; "
        + (f"{checkpoints.path(whole[-1])} is the last whole checkpoint. " if whole else "there is no checkpoint yet. ")
        + "Set optimizer_release_gradients=false to have such steps skipped, or take a lower learning_rate."
    )
