"""What is trained on top of the frozen base."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class AdapterOptions(Section):
    lora_type: Literal["standard"] = option(
        "standard",
        "Kind of adapter: standard is LoRA as PEFT defines it.",
        refused={"lycoris": "LyCORIS is not available yet; standard is"},
    )
    lycoris_config: str | None = option(
        None, "JSON file that describes a LyCORIS adapter; read with lora_type lycoris only."
    )
    lora_rank: int = option(16, "Inner width of each adapted layer's update.", ge=1, example=16)
    lora_alpha: float | None = option(
        None, "The update is scaled by alpha / rank; unset means alpha = rank, a scale of 1.", gt=0
    )
    lora_dropout: float = option(0.0, "Share of the adapter's inputs dropped in training.", ge=0, lt=1)
