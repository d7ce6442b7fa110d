"""What an adapter file says of itself: the base it was made for, its kind, what it was trained on.

It travels as JSON under one key of the file's metadata. A second key would be written in any order, and equal files
would differ; dates are left out for the same reason. Which key it is depends on who reads the layout: diffusers looks
for PEFT's settings in `lora_adapter_metadata` and passes over what does not begin with the name of the part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Layout: TypeAlias = Literal["diffusers", "comfyui", "lycoris"]

OURS = "reeltune"
KEYS: dict[Layout, str] = {"diffusers": "lora_adapter_metadata", "comfyui": OURS, "lycoris": "lycoris_config"}
"""The one key of a file's metadata, by layout."""

_MODELSPEC = "modelspec."


@dataclass(frozen=True)
class About:
    """What is known of an adapter. rank, alpha: of most of its layers; None where the kind has none.

    targets: which layers are adapted, as they were asked for. settings: the description of a LyCORIS adapter.
    architecture, implementation: of the base, as the Stability AI model metadata standard (modelspec 1.0.1) calls it.
    """

    base_model: str
    base_fingerprint: str
    kind: str
    rank: int | None = None
    alpha: int | float | None = None
    targets: tuple[str, ...] = ()
    step: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""
    implementation: str = ""


def written_metadata(about: About, layout: Layout, readers: Mapping[str, Any]) -> dict[str, str]:
    """Return a file's metadata. readers: what programs that read the layout look for beside ours."""
    content = {**readers, **_modelspec(about), OURS: asdict(about)}
    return {KEYS[layout]: json.dumps(content, sort_keys=True)}


def read_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a file's metadata says, JSON taken apart; ours on top, by the names of `About`."""
    said = {key: _parsed(value) for key, value in metadata.items()}
    whole = next((said[key] for key in KEYS.values() if isinstance(said.get(key), dict)), {})
    ours = whole.get(OURS, {})
    return {**said, **whole, **(ours if isinstance(ours, dict) else {})}


def _modelspec(about: About) -> dict[str, str]:
    fields = {"title": about.title, "architecture": about.architecture, "implementation": about.implementation}
    known = {f"{_MODELSPEC}{name}": value for name, value in fields.items() if value}
    return {f"{_MODELSPEC}sai_model_spec": "1.0.1", **known}


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
