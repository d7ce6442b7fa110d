"""Where an export goes when nobody says: beside what it is made of, or into the working folder; nothing is replaced."""

from __future__ import annotations

import os
from pathlib import Path

from reeltune.adapters.publish import MAIN_FILE
from reeltune.errors import ConfigError
from reeltune.run.adapter_files.places import CHECKPOINT_MARK
from reeltune.whole_files import unused_name

MERGED = "merged"
MERGED_COMFYUI = "merged-comfyui"
FORMATS = ("diffusers", "comfyui", "lycoris", MERGED, MERGED_COMFYUI)
VARIANTS = ("ema", "raw")
"""Folders of runs and checkpoints that hold the same adapter with other weights: averaged, or not."""


def output_for(file: Path, format: str) -> Path:
    """Return the usual place of an export: beside the adapter file, or in the working folder if that is read-only.

    Of a file in a checkpoint it is the run's folder, for checkpoints are removed. A run's main file, whose name says
    nothing, is called as the folders that it lies in, the run's own first.
    """
    folder = file.resolve().parent
    run = _run_of(folder)
    inside = "-".join([run.name, *folder.relative_to(run).parts])
    stem = inside if file.name == MAIN_FILE else file.stem
    beside = file.parent if run == folder else run
    place = beside if os.access(beside, os.W_OK) else Path()
    return place / f"{stem}-{format}{'' if format == MERGED else '.safetensors'}"


def _run_of(folder: Path) -> Path:
    """Return the folder that holds the checkpoint, or the averaged results, that a folder is or lies in; or itself."""
    for outer in (folder, folder.parent, folder.parent.parent):
        if (outer / CHECKPOINT_MARK).is_file():
            return outer.parent
    return folder.parent if folder.name in VARIANTS else folder


def require_free(output: Path, format: str) -> None:
    """Raise ConfigError for a place that is taken, or whose name does not fit what is written there."""
    if output.exists():
        raise ConfigError(
            f"{output} is there already, and nothing is replaced. Type: --output {unused_name(_numbered(output))}"
        )
    if format != MERGED and output.suffix.lower() != ".safetensors":
        raise ConfigError(f"--output {output}: {format} is one file. Type: --output {output}.safetensors")
    if format == MERGED and output.suffix.lower() == ".safetensors":
        raise ConfigError(
            f"--output {output}: {format} is a folder. Type: --output {output.with_suffix('')}, "
            f"or --format {MERGED_COMFYUI} for one file"
        )


def _numbered(output: Path) -> Path:
    return output.with_name(f"{output.stem}-2{output.suffix}")
