"""Where results go, how often the run is saved, and who else is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from reeltune.config.option import Section, option
from reeltune.config.places import check_place
from reeltune.config.webhooks import is_inline

TrackerName = Literal["wandb", "tensorboard", "csv", "all"]


def check_folder(text: str) -> str:
    """Return the path of a run's folder as it is. Raises ValueError when its last part is no name."""
    if Path(text).name.strip() in ("", ".."):
        raise ValueError('its last part names the adapter file, so a folder is needed, such as "output/my-lora"')
    return check_place(text)


def check_webhooks(text: str) -> str:
    """Return webhooks as JSON, or the path of a file of them, as it is. Raises ValueError where it can be neither."""
    if re.match(r"\s*https?:", text, re.IGNORECASE):
        raise ValueError(
            'an address alone does not say what is posted there; write {"webhook_type": "discord", "webhook_url": '
            '"..."} or {"webhook_type": "raw", "callback_url": "..."}'
        )
    return text if is_inline(text) else check_place(text)


def as_list(value: Any) -> Any:
    """Return names with commas between, or none of them, as a list."""
    if value is None or value is False:
        return []
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    return [name for name in value if name not in ("none", "")] if isinstance(value, list) else value


class ReportingOptions(Section):
    output_dir: Annotated[str, AfterValidator(check_folder)] = option(
        ...,
        "Folder of this run: adapter, checkpoints, videos, log; its last part names the adapter file.",
        example="output/wan-character",
    )
    strict: bool = option(
        False, "Refuse to start when something that was asked for is missing on this machine, rather than do without."
    )
    resume_from_checkpoint: str | Literal[False] | None = option(
        "latest",
        "Which checkpoint to continue from: latest, a name such as checkpoint-1000, best for the one with the lowest "
        'held-out loss, or "" to start afresh (a run that is already in output_dir is then moved aside).',
    )
    checkpointing_steps: int = option(
        500,
        "Save a resumable checkpoint every this many steps, and at the end; 0 saves at the end only.",
        unit="steps",
        ge=0,
        also=("checkpoint_step_interval",),
    )
    checkpoints_total_limit: int = option(
        5, "Checkpoints kept; the oldest goes first.", ge=1, also=("save_total_limit",)
    )
    weight_change_interval: int = option(
        50,
        "Tell the size of the adapter's change in each block every this many steps; 0 never does. A whole model "
        "(model_type full) keeps no copy of its start, and tells none.",
        unit="steps",
        ge=0,
    )
    report_to: Annotated[
        tuple[TrackerName, ...],
        BeforeValidator(as_list, json_schema_input_type=str | tuple[TrackerName, ...] | Literal[False] | None),
    ] = option(
        (),
        "Where losses and videos are sent: wandb, tensorboard, csv, several with commas between, all that are "
        "installed, or none.",
        example="wandb",
        refused={
            "comet_ml": "it is not available yet; wandb, tensorboard and csv are",
            "swanlab": "it is not available yet; wandb, tensorboard and csv are",
            "trackio": "it is not available yet; wandb, tensorboard and csv are",
        },
    )
    tracker_project_name: str = option("reeltune", "Project under which trackers file the run.", min_length=1)
    tracker_run_name: str | None = option(
        None, "Name of the run for trackers and webhooks; unset takes the last part of output_dir."
    )
    webhook_config: Annotated[str, AfterValidator(check_webhooks)] | dict[str, Any] | list[dict[str, Any]] | None = (
        option(
            None,
            "JSON file that says which webhooks are told of the run; or its content.",
            example="config/wan/webhook.json",
            secret=True,
        )
    )
    push_to_hub: bool = option(False, "Upload the finished adapter to the Hugging Face hub.")
    push_checkpoints_to_hub: bool = option(False, "Upload the adapter of each checkpoint to the hub.")
    hub_model_id: str | None = option(
        None, "Hub repository, owner/name or a name under your own account; unset takes tracker_project_name."
    )
    model_card_private: bool = option(True, "Make the hub repository private where it does not exist yet.")

    @property
    def run_folder(self) -> Path:
        """The folder of this run, with a home folder's `~` resolved."""
        return Path(self.output_dir).expanduser()

    @property
    def run_name(self) -> str:
        """The name of this run for trackers, webhooks and the hub."""
        return self.tracker_run_name or self.run_folder.name
