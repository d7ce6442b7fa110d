"""What a run asks of the machine beyond computing, and what it gets: kernels, trackers, webhooks, the hub.

What is missing is replaced by something local, with one note each; with `strict` it is an error instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reeltune.config.attention import ATTENTION, lacking
from reeltune.config.root import Config
from reeltune.config.webhooks import Webhook, is_inline, load_webhooks, parse_webhooks
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError, listed
from reeltune.machine.gpu import find_gpus
from reeltune.machine.logins import hub_token_found, wandb_login_found
from reeltune.machine.packages import missing
from reeltune.quantize import packages as precisions
from reeltune.run.rendering_plan import prompts_of
from reeltune.train import optimizer_packages as optimizers

WITHOUT_LOGIN = ("offline", "dryrun", "disabled")
"""Values of WANDB_MODE with which nothing is sent; with all others wandb would ask for a key where it has none."""


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
    trackers, of_trackers = _trackers(config)
    webhooks, of_webhooks = _webhooks(config)
    hub, of_hub = _hub(config)
    notes = (*_attention(config), *of_trackers, *of_webhooks, *of_hub)
    replaced = [f"{note.about}: {note.text}" for note in notes if note.kind == "fallback"]
    if config.reporting.strict and replaced:
        raise ConfigError(listed("strict is true and something that was asked for is missing", replaced))
    return Means(trackers, webhooks, hub, notes)


def _require_packages(config: Config) -> None:
    """Refuse to start without a package that nothing can stand in for."""
    model = config.model
    wanted = sorted({model.base_model_precision, model.text_encoder_1_precision} - {"no_change"})
    problems = [
        *_refusals(optimizers.require_package, config.optimization.optimizer),
        *_refusals(precisions.require_package, *wanted),
        *_lycoris(config),
    ]
    if problems:
        raise ConfigError(listed("packages that the configuration needs", problems))


def _refusals(require: Callable[[str], None], *names: str) -> Iterator[str]:
    for name in names:
        try:
            require(name)
        except ConfigError as error:
            yield str(error)


def _lycoris(config: Config) -> Iterator[str]:
    needed = config.model.model_type == "lora" and config.adapter.lora_type == "lycoris"
    if needed and (problem := missing("lycoris-lora")):
        yield f"lora_type lycoris cannot be used: {problem}. Install that, or set lora_type to standard."


def _attention(config: Config) -> Iterator[Note]:
    name = config.model.attention_mechanism
    if ATTENTION[name] is None or not prompts_of(config.rendering):
        return
    if reason := lacking(name) or ("" if find_gpus() else f"no GPU was found, and {name} needs one"):
        text = f"it is for videos only, and {reason}; they are made with PyTorch's own attention"
        yield Note("fallback", "attention_mechanism", text)
    else:
        yield Note("trap", "attention_mechanism", f"{name} is used for videos only: it has no backward pass")


def _trackers(config: Config) -> tuple[tuple[Tracker, ...], tuple[Note, ...]]:
    asked = config.reporting.report_to
    if "all" in asked:
        asked = (*(name for name in ("wandb", "tensorboard") if not missing(name)), "csv")
    found = [_tracker(name) for name in asked]
    trackers = tuple(dict.fromkeys(tracker for tracker, _ in found))
    return trackers, tuple(note for _, note in found if note)


def _tracker(name: str) -> tuple[Tracker, Note | None]:
    """Return the tracker of that name, or what stands in for it and why."""
    if name != "csv" and (reason := missing(name)):
        text = f"{reason}; losses go to metrics.csv in the run folder"
        return Tracker("csv"), Note("fallback", "report_to", text)
    if name == "wandb" and os.environ.get("WANDB_MODE") not in WITHOUT_LOGIN and not wandb_login_found():
        text = "no login to wandb was found (wandb login); the run is kept on disk, and `wandb sync` sends it later"
        return Tracker("wandb", offline=True), Note("fallback", "report_to", text)
    return Tracker(name), None


def _webhooks(config: Config) -> tuple[tuple[Webhook, ...], tuple[Note, ...]]:
    value = config.reporting.webhook_config
    if value is None or value == "":
        return (), ()
    if not isinstance(value, str) or is_inline(value):
        return parse_webhooks(value), ()
    path = Path(value).expanduser()
    if not path.exists():
        text = f"{path} does not exist, so no webhook is told; docs/options.md says what such a file holds"
        return (), (Note("fallback", "webhook_config", text),)
    return load_webhooks(path), ()


def _hub(config: Config) -> tuple[str | None, tuple[Note, ...]]:
    reporting = config.reporting
    options = [name for name in ("push_to_hub", "push_checkpoints_to_hub") if getattr(reporting, name)]
    if not options:
        return None, ()
    if not hub_token_found():
        text = "no login to the hub was found (hf auth login, or HF_TOKEN); the adapter stays in the run folder"
        return None, (Note("fallback", ", ".join(options), text),)
    return reporting.hub_model_id or reporting.tracker_project_name, ()
