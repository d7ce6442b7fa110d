"""What an adapter file says of itself, as far as it concerns people: ours, and what others write. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

_BASE_NAMES = ("base_model", "base_model_name_or_path", "ss_sd_model_name")
_STEP_NAMES = ("step", "ss_steps")
_TITLE_NAMES = ("title", "modelspec.title", "ss_output_name")
_ALPHA = "lora_alpha"
_SHOWN = ("targets", "data", "settings")


def base_in(about: Mapping[str, Any]) -> str | None:
    """Return the base model that a file names."""
    return next((str(about[name]) for name in _BASE_NAMES if about.get(name)), None)


def title_in(about: Mapping[str, Any]) -> str:
    return next((str(about[name]) for name in _TITLE_NAMES if about.get(name)), "")


def step_in(about: Mapping[str, Any]) -> int | None:
    """Return for how many steps a file says that it was trained."""
    found = next((about[name] for name in _STEP_NAMES if about.get(name)), None)
    return found if isinstance(found, int) else None


def settings_in(about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what else a file says: its title, targets, data, and the description of a LyCORIS adapter."""
    rows = [("title", title_in(about)), *((name, in_words(about.get(name))) for name in _SHOWN)]
    return tuple((name, words) for name, words in rows if words)


def trained_alpha(about: Mapping[str, Any]) -> float | None:
    """Return the alpha that an adapter of ours was trained with."""
    alpha = about.get("alpha")
    return float(alpha) if isinstance(alpha, int | float) else None


def written_alphas(file: Path, about: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the different alphas that stand in a file, beside its tensors or in its metadata, rising."""
    with safe_open(file, framework="np") as tensors:
        names = [name for name in tensors.keys() if name.endswith(".alpha")]
        beside = {float(tensors.get_tensor(name).item()) for name in names}
    return tuple(sorted(beside or set(_alphas_said(about))))


def _alphas_said(about: Mapping[str, Any]) -> Iterator[float]:
    for key, value in about.items():
        if key.rpartition(".")[2] == _ALPHA and isinstance(value, int | float):
            yield float(value)


def in_words(value: Any) -> str:
    """Return a value of JSON as people read it: names with their values, lists without brackets."""
    match value:
        case None:
            return ""
        case dict():
            return ", ".join(f"{name} {words}" for name, one in value.items() if (words := _inner(one)))
        case list() | tuple():
            return ", ".join(_inner(one) for one in value)
    return str(value)


def _inner(value: Any) -> str:
    words = in_words(value)
    return f"({words})" if words and isinstance(value, dict | list) else words
