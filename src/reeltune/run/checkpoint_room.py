"""Where a run goes on, and how much room its checkpoints will take. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.config.optimizer_checks import settings_of
from reeltune.config.reporting import ReportingOptions
from reeltune.config.root import Config
from reeltune.contracts.checkpoints import best_step, choose_step, steps_in
from reeltune.estimate.disk import checkpoint_bytes, checkpoints_to_come
from reeltune.estimate.optimizers import state_bytes


@dataclass(frozen=True)
class CheckpointRoom:
    """Room for so many checkpoints beside those that are there already. best: how many of them are for `best/`."""

    count: int
    size_bytes: int
    best: int = 0

    def __str__(self) -> str:
        words = f"{self.count} checkpoint{'s' * (self.count != 1)}"
        return f"{words}, {self.best} of them for the best step" if self.best else words


def start_of(options: ReportingOptions) -> int | None:
    """Return the step to continue from, or None to start afresh. Raises ConfigError where it is missing."""
    wanted = options.resume_from_checkpoint
    return choose_step(options.run_folder, wanted) if wanted else None


def checkpoint_room(config: Config, *, weights: int, total_steps: int) -> CheckpointRoom:
    """Return what the rest of the run needs. weights: how many are trained."""
    reporting = config.reporting
    start = start_of(reporting)
    # An earlier run that is not continued, and later checkpoints than the one that is, are moved aside and stay.
    there = [] if start is None else [step for step in steps_in(reporting.run_folder) if step <= start]
    count = checkpoints_to_come(
        total_steps,
        done=start or 0,
        every=reporting.checkpointing_steps,
        limit=reporting.checkpoints_total_limit,
        there=len(there),
    )
    one = checkpoint_bytes(
        weights,
        state_bytes=state_bytes(config.optimization.optimizer, settings_of(config.optimization)),
        averaged=config.average.use_ema,
        published_bytes=_published_bytes(config),
    )
    best = best_to_come(config, start=start) if count else 0
    return CheckpointRoom(count + best, (count + best) * one, best)


def best_to_come(config: Config, *, start: int | None) -> int:
    """Return for how many checkpoints `best/` needs room: the old one goes when the new one stands.

    A best step whose checkpoint stands shares its files, so that the new one takes no room of its own until then.
    """
    reporting, every = config.reporting, config.evaluation.eval_steps_interval
    if not every:
        return 0
    shared = reporting.checkpointing_steps and every % reporting.checkpointing_steps == 0
    there = start is not None and best_step(reporting.run_folder) is not None
    return (1 if shared else 2) - there


def _published_bytes(config: Config) -> int:
    """Return the bytes of a weight in the files for other programs: an adapter is float32, a model as it computes."""
    return 2 if config.model.model_type == "full" and config.model.compute_type == "bf16" else 4
