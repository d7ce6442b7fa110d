"""Continuing a run under other options: what may change is said, what may not is refused with the reason. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reeltune.config.adapter_inert import inert_adapter_options
from reeltune.config.root import Config
from reeltune.contracts.checkpoints import place_of, record_of
from reeltune.errors import ConfigError, listed
from reeltune.run.adapter_record import ADAPTER_RECORD, adapter_record
from reeltune.run.checkpoint_room import start_of

_OTHER_TENSORS = "the saved tensors are those of the other kind"
_OTHER_LAYERS = "the saved adapter sits on other layers"
_OTHER_SPLIT = "files would be measured that were trained before, or the other way round"

FIXED = {
    "model_family": "the saved adapter belongs to the other family",
    "model_type": "another kind of training was saved",
    "lora_type": "another kind of adapter was saved",
    "lora_rank": "the saved adapter has another size",
    "lora_alpha": "the saved weights would count for more or less than when they were trained",
    "lora_init_type": "what was learned is the difference to the start that was saved",
    "use_dora": _OTHER_TENSORS,
    "lora_blocks": _OTHER_LAYERS,
    "optimizer": "the saved state belongs to the other optimizer",
    **dict.fromkeys(
        ("optimizer_config", "optimizer_beta1", "optimizer_beta2", "adam_weight_decay", "adam_epsilon"),
        "the saved optimizer goes on with the settings that it was saved with",
    ),
    **dict.fromkeys(("eval_split", "eval_dataset_id"), _OTHER_SPLIT),
}
"""Options that what is saved depends on, with the reason why they cannot change in the middle of a run."""

STARTS = ("init_lora", "init_lokr_norm")
"""Options that say where a run starts, and not how it goes on."""

FIXED_CONTENT = {
    "peft_lora_target_modules": _OTHER_LAYERS,
    "multiplier": "the saved weights would count for more or less than when they were trained",
    "linear_alpha": "the saved weights would count for more or less than when they were trained",
}
"""The same for what an adapter's files hold; for all else in them it is `_OTHER_TENSORS`."""

FREE_CONTENT = ("dropout", "rank_dropout", "module_dropout")
"""What of an adapter's files may change."""


def choose_start(config: Config) -> int | None:
    """Return the step to continue from, or None to start afresh.

    Raises ConfigError for a checkpoint that is not there, and for options that cannot change under way.
    """
    start = start_of(config.reporting)
    if start is not None:
        folder = config.reporting.run_folder
        changes = changes_since(config, record_of(folder, start, "config.json"))
        contents = content_changes_since(config, record_of(folder, start, ADAPTER_RECORD))
        refuse_changes(changes, place_of(folder, start).name, contents=contents, unused=_unused(config))
    return start


def changes_since(config: Config, saved: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the options that differ from a checkpoint's record, each as (then, now)."""
    now = config.flat()
    return {name: (value, now[name]) for name, value in saved.items() if name in now and now[name] != value}


def content_changes_since(config: Config, saved: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs from a checkpoint's record in the files that describe an adapter, each as (then, now).

    Empty where the checkpoint has no such record, or one of another kind of adapter.
    """
    now = adapter_record(config)
    if not saved or saved.get("kind") != now["kind"]:
        return {}
    names = [*now, *(name for name in saved if name not in now)]
    return {name: (saved.get(name), now.get(name)) for name in names if saved.get(name) != now.get(name)}


def refuse_changes(
    changes: Mapping[str, tuple[Any, Any]],
    checkpoint: str,
    *,
    contents: Mapping[str, tuple[Any, Any]] | None = None,
    unused: Collection[str] = (),
) -> None:
    """Raise ConfigError, listing all of them, for options that cannot change under way.

    contents: changes in the files that describe an adapter. unused: options that nothing depends on.
    """
    problems = [_problem(name, *changes[name], FIXED[name]) for name in changes if name in FIXED and name not in unused]
    problems += [
        _problem(name, *both, FIXED_CONTENT.get(name, _OTHER_TENSORS))
        for name, both in (contents or {}).items()
        if name not in FREE_CONTENT
    ]
    if problems:
        advice = 'Put them back, or start afresh with resume_from_checkpoint="".'
        raise ConfigError("\n".join([listed(f"{checkpoint} cannot be continued", problems), advice]))


def told_changes(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return one line for each option that has changed."""
    return [
        f"changed since the checkpoint: {name}: {then!r} -> {now!r}{_effect(name)}"
        for name, (then, now) in changes.items()
    ]


def _effect(name: str) -> str:
    return "; it is not read: the checkpoint's own weights go on" if name in STARTS else ""


def _problem(name: str, then: Any, now: Any, reason: str) -> str:
    return f"{name} was {then!r} and is now {now!r}: {reason}"


def _unused(config: Config) -> set[str]:
    """Return what may change after all: nothing that is saved depends on it in this configuration."""
    unused = {name for names, _ in inert_adapter_options(config) for name in names}
    return unused if config.evaluation.eval_split else {*unused, "eval_dataset_id"}
