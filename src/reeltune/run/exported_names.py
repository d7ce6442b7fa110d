"""Where an export goes when nobody says: beside what it is made of, or into the working folder; nothing is replaced."""

from __future__ import annotations

import os
from pathlib import Path

from reeltune.adapters.publish import MAIN_FILE
from reeltune.errors import ConfigError
from reeltune.whole_files import unused_name

MERGED = "merged"
MERGED_COMFYUI = "merged-comfyui"
FORMATS = ("diffusers", "comfyui", "lycoris", MERGED, MERGED_COMFYUI)


def output_for(file: Path, format: str) -> Path:
    """Return the usual place of an export: beside the adapter file, or in the working folder if that is read-only.

    A run's main file, whose name says nothing, is called as its folder.
    """
    folder = file.parent if os.access(file.parent, os.W_OK) else Path()
    stem = file.resolve().parent.name if file.name == MAIN_FILE else file.stem
    return folder / f"{stem}-{format}{'' if format == MERGED else '.safetensors'}"


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
