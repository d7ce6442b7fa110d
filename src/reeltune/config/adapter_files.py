"""The files that an adapter's options name: there, readable, and of the right kind, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reeltune.config.adapter import AdapterOptions
from reeltune.config.lycoris import LycorisConfig, lycoris_of
from reeltune.config.names import Given
from reeltune.config.targets import check_targets
from reeltune.errors import ConfigError

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of files that can run code when they are read."""


def problems_of_adapter_files(given: Mapping[str, Given]) -> Iterator[str]:
    """Yield what is wrong with the files that are read for this adapter; of options that are wrong, nothing."""
    values = {name: one.value for name, one in given.items()}
    if values.get("model_type", "lora") != "lora":
        return
    if isinstance(file := values.get("init_lora"), str) and file:
        yield from _start(file, given["init_lora"].where)
    if values.get("lora_type", "standard") == "lycoris":
        yield from _description(values)
    else:
        yield from _targets(values)


def _start(file: str, where: str) -> Iterator[str]:
    path = Path(file).expanduser()
    if path.suffix.lower() in PICKLED:
        yield (
            f"init_lora ({where}): {file} is a pickled file, which can run code when it is read. Name a .safetensors "
            "file; the program that wrote this one may have one."
        )
    elif path.is_dir():
        yield f"init_lora ({where}): {file} is a folder. Name the .safetensors file in it."


def _description(values: Mapping[str, Any]) -> Iterator[str]:
    value = values.get("lycoris_config")
    if not isinstance(value, str | dict) or not value:
        return
    try:
        description = lycoris_of(value)
    except ConfigError as error:
        yield str(error)
        return
    if values.get("init_lokr_norm") and "lokr" not in _algorithms(description):
        yield (
            f"init_lokr_norm is set and the adapter's algo is {description.algo}: it is how LoKr starts; leave it out, "
            "or set algo to lokr in lycoris_config"
        )


def _algorithms(description: LycorisConfig) -> set[str]:
    preset = description.apply_preset
    others = (*preset.module_algo_map.values(), *preset.name_algo_map.values())
    return {description.algo, *(one.algo for one in others if one.algo)}


def _targets(values: Mapping[str, Any]) -> Iterator[str]:
    chosen = {name: values[name] for name in ("peft_lora_target_modules", "lora_blocks") if name in values}
    try:
        check_targets(AdapterOptions(**chosen))
    except ValidationError:
        # A value of the wrong type is a problem of the option, which is listed with its line.
        return
    except ConfigError as error:
        yield str(error)
