"""Continuing a run under other options: what may change is said, what may not is refused with the reason. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reeltune.config.root import Config
from reeltune.contracts.checkpoints import name_of, record_of
from reeltune.errors import ConfigError, listed
from reeltune.run.checkpoint_room import start_of

FIXED = {
    "model_family": "the saved adapter belongs to the other family",
    "model_type": "another kind of training was saved",
    "lora_type": "another kind of adapter was saved",
    "lora_rank": "the saved adapter has another size",
    "lora_alpha": "the saved weights would count for more or less than when they were trained",
    "optimizer": "the saved state belongs to the other optimizer",
}
"""Options that what is saved depends on, with the reason why they cannot change in the middle of a run."""


def choose_start(config: Config) -> int | None:
    """Return the step to continue from, or None to start afresh.

    Raises ConfigError for a checkpoint that is not there, and for options that cannot change under way.
    """
    start = start_of(config.reporting)
    if start is not None:
        saved = record_of(config.reporting.run_folder, start, "config.json")
        refuse_changes(changes_since(config, saved), name_of(start))
    return start


def changes_since(config: Config, saved: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the options that differ from a checkpoint's record, each as (then, now)."""
    now = config.flat()
    return {name: (value, now[name]) for name, value in saved.items() if name in now and now[name] != value}


def refuse_changes(changes: Mapping[str, tuple[Any, Any]], checkpoint: str) -> None:
    """Raise ConfigError, listing all of them, for options that cannot change under way."""
    problems = [
        f"{name} was {then!r} and is now {now!r}: {FIXED[name]}"
        for name, (then, now) in changes.items()
        if name in FIXED
    ]
    if problems:
        advice = 'Put them back, or start afresh with resume_from_checkpoint="".'
        raise ConfigError("\n".join([listed(f"{checkpoint} cannot be continued", problems), advice]))


def told_changes(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return one line for each option that has changed."""
    return [f"changed since the checkpoint: {name}: {then!r} -> {now!r}" for name, (then, now) in changes.items()]
