"""Where results go and how often the run is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from reeltune.config.option import Section, option


def check_folder(text: str) -> str:
    """Return the path of a run's folder as it is. Raises ValueError when its last part is no name."""
    if Path(text).name.strip() in ("", ".."):
        raise ValueError('its last part names the adapter file, so a folder is needed, such as "output/my-lora"')
    return text


class ReportingOptions(Section):
    output_dir: Annotated[str, AfterValidator(check_folder)] = option(
        ...,
        "Folder of this run: adapter, checkpoints, videos, log; its last part names the adapter file.",
        example="output/wan-character",
    )
    resume_from_checkpoint: str | Literal[False] | None = option(
        "latest",
        'Which checkpoint to continue from: latest, a name such as checkpoint-1000, or "" to start afresh (a run that '
        "is already in output_dir is then moved aside).",
    )
    checkpointing_steps: int = option(
        500,
        "Save a resumable checkpoint every this many steps, and at the end; 0 saves at the end only.",
        unit="steps",
        ge=0,
        also=("checkpoint_step_interval",),
    )
    checkpoints_total_limit: int = option(5, "Checkpoints kept; the oldest goes first.", ge=1)

    @property
    def run_folder(self) -> Path:
        """The folder of this run, with a home folder's `~` resolved."""
        return Path(self.output_dir).expanduser()
