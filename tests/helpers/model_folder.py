"""Folders of models that have configurations, but no weights: all that a plan reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRANSFORMER: dict[str, Any] = {
    "_class_name": "WanTransformer3DModel",
    "num_layers": 30,
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "ffn_dim": 8960,
    "text_dim": 4096,
    "freq_dim": 256,
    "in_channels": 16,
    "patch_size": [1, 2, 2],
}
"""The configuration of the 1.3B model's."""

LARGE: dict[str, Any] = {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824}
"""What the 14B model's has otherwise."""


def write_model(folder: Path, **changes: Any) -> Path:
    """Write a model's folder. changes: of the transformer's configuration."""
    write_json(folder / "transformer/config.json", TRANSFORMER | changes)
    for part in ("vae/config", "text_encoder/config", "tokenizer/tokenizer_config", "scheduler/scheduler_config"):
        write_json(folder / f"{part}.json", {})
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
