"""A base model as it is named on the command line: a repository, a folder, a file, or a short name."""

from __future__ import annotations

import json
from pathlib import Path

from reeltune.config.model import FLAVOURS, ModelOptions
from reeltune.errors import ModelError

_DEPTH = 4
"""Folders above a run's deepest file, checkpoint-100/ema/comfyui/name.safetensors."""


def base_options(place: str) -> ModelOptions:
    """Return the options that name a base model, or a transformer alone.

    place: a repository, a folder of a whole model or of its transformer alone, a .safetensors file, or a flavour.
    Raises ModelError for a path that is not there.
    """
    place = FLAVOURS.get(place, place)
    path = Path(place).expanduser()
    if path.suffix == ".safetensors" or not path.is_dir():
        return ModelOptions(pretrained_model_name_or_path=_existing(place, path))
    if (path / "transformer").is_dir():
        return ModelOptions(pretrained_model_name_or_path=str(path))
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path} holds neither a folder 'transformer' nor a config.json. Type: --base with a folder in the "
            f"diffusers layout, a .safetensors file, or a repository such as {FLAVOURS['t2v-480p-1.3b-2.1']}"
        )
    return ModelOptions(pretrained_transformer_model_name_or_path=str(path), pretrained_transformer_subfolder="none")


def base_near(file: Path, named: str) -> str:
    """Return where a base lies that an adapter file names: files of runs name a folder alone, without its place.

    named: as it stands in the file. The configuration of the run that the file lies in tells the place; it is taken
    where that run's transformer is the base's own, and where it is still there. Otherwise the name comes back.
    """
    for folder in file.resolve().parents[:_DEPTH]:
        place = _base_of_run(folder / "config.json")
        if place and Path(place).name == named and Path(place).exists():
            return place
    return named


def _base_of_run(config: Path) -> str | None:
    try:
        said = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or said.get("pretrained_transformer_model_name_or_path"):
        return None
    return said.get("pretrained_model_name_or_path")


def _existing(place: str, path: Path) -> str:
    """Return the place, which is a repository where nothing on this machine has that name."""
    looks_local = path.suffix == ".safetensors" or place.startswith((".", "/", "~")) or place.count("/") != 1
    if looks_local and not path.exists():
        raise ModelError(f"{place} is not here. Type: --base with a folder, a .safetensors file, or a repository.")
    return place
