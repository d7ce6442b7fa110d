"""What a run asks of the machine beyond computing, and what it gets: kernels, trackers, webhooks, the hub.

What is missing is replaced by something local, with one note each; with `strict` it is an error instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.attention import ATTENTION, lacking
from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.config.root import Config
from reeltune.config.webhooks import Webhook, is_inline, load_webhooks, parse_webhooks
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError, listed
from reeltune.machine.gpu import find_gpus
from reeltune.machine.logins import hub_token_found, wandb_login_found
from reeltune.machine.packages import version_of
from reeltune.quantize.packages import require_package
from reeltune.run.rendering_plan import prompts_of


@dataclass(frozen=True)
class Tracker:
    """Where scalars and videos are sent. offline: kept in files for now."""

    name: str
    offline: bool = False


@dataclass(frozen=True)
class Means:
    """What a run has at hand. hub: repository that adapters are pushed to, if any."""

    trackers: tuple[Tracker, ...]
    webhooks: tuple[Webhook, ...]
    hub: str | None
    notes: tuple[Note, ...]


def find_means(config: Config) -> Means:
    """Look at what is installed, logged in and there. Raises ConfigError for what cannot be replaced."""
    _require_packages(config)
    notes: list[Note] = []
    notes += _attention(config)
    trackers, webhooks, hub = _trackers(config, notes), _webhooks(config, notes), _hub(config, notes)
    missing = [f"{note.about}: {note.text}" for note in notes if note.kind == "fallback"]
    if config.reporting.strict and missing:
        raise ConfigError(listed("strict is true and something that was asked for is missing", missing))
    return Means(trackers, webhooks, hub, tuple(notes))


def _require_packages(config: Config) -> None:
    """Refuse to start without a package that nothing can stand in for."""
    model = config.model
    precisions = {model.base_model_precision, model.text_encoder_1_precision} - {"no_change"}
    checks = [_require_optimizer(config.training.optimizer), *(_require_precision(name) for name in sorted(precisions))]
    if problems := [problem for problem in checks if problem]:
        raise ConfigError(listed("packages that the configuration needs", problems))


def _require_optimizer(name: str) -> str | None:
    if OPTIMIZERS[name] != "bnb" or version_of("bitsandbytes"):
        return None
    return (
        f'optimizer {name} needs bitsandbytes, which is not installed. Type: pip install "reeltune[bnb]", '
        "or choose another, such as optimi-lion."
    )


def _require_precision(name: str) -> str | None:
    try:
        require_package(name)
    except ConfigError as error:
        return str(error)
    return None


def _attention(config: Config) -> Iterator[Note]:
    name = config.model.attention_mechanism
    if ATTENTION[name] is None or not prompts_of(config.rendering):
        return
    if missing := lacking(name) or ("" if find_gpus() else f"no GPU was found, and {name} needs one"):
        text = f"it is for videos only, and {missing}; they are made with PyTorch's own attention"
        yield Note("fallback", "attention_mechanism", text)
    else:
        yield Note("trap", "attention_mechanism", f"{name} is used for videos only: it has no backward pass")


def _trackers(config: Config, notes: list[Note]) -> tuple[Tracker, ...]:
    asked = config.reporting.report_to
    if "all" in asked:
        asked = tuple(name for name in ("wandb", "tensorboard") if version_of(name)) + ("csv",)
    return tuple(dict.fromkeys(_tracker(name, notes) for name in asked))


def _tracker(name: str, notes: list[Note]) -> Tracker:
    """Return the tracker of that name, or what stands in for it."""
    if name != "csv" and version_of(name) is None:
        text = f'{name} is not installed (pip install "reeltune[{name}]"); losses go to metrics.csv in the run folder'
        notes.append(Note("fallback", "report_to", text))
        return Tracker("csv")
    if name == "wandb" and "WANDB_MODE" not in os.environ and not wandb_login_found():
        text = "no login to wandb was found (wandb login); the run is kept on disk, and `wandb sync` sends it later"
        notes.append(Note("fallback", "report_to", text))
        return Tracker("wandb", offline=True)
    return Tracker(name)


def _webhooks(config: Config, notes: list[Note]) -> tuple[Webhook, ...]:
    value = config.reporting.webhook_config
    if value is None or value == "":
        return ()
    if not isinstance(value, str) or is_inline(value):
        return parse_webhooks(value)
    path = Path(value).expanduser()
    if not path.exists():
        text = f"{path} does not exist, so no webhook is told; docs/options.md says what such a file holds"
        notes.append(Note("fallback", "webhook_config", text))
        return ()
    return load_webhooks(path)


def _hub(config: Config, notes: list[Note]) -> str | None:
    reporting = config.reporting
    options = [name for name in ("push_to_hub", "push_checkpoints_to_hub") if getattr(reporting, name)]
    if not options:
        return None
    if not hub_token_found():
        text = "no login to the hub was found (hf auth login, or HF_TOKEN); the adapter stays in the run folder"
        notes.append(Note("fallback", ", ".join(options), text))
        return None
    return reporting.hub_model_id or reporting.tracker_project_name
