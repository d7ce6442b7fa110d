"""The moving average of the trained weights (EMA)."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class AverageOptions(Section):
    use_ema: bool = option(False, "Keep a float32 moving average of the trained weights.")
    ema_decay: float = option(0.995, "Largest share of the old average that each step keeps.", ge=0, lt=1)
    ema_update_interval: int = option(1, "Update the average every this many steps.", unit="steps", ge=1)
    ema_device: Literal["accelerator", "cpu"] = option(
        "accelerator",
        "Where the average is kept: beside the weights, or in the memory of the host (8 bytes a weight).",
    )
    ema_foreach_disable: bool = option(False, "Update the average tensor by tensor instead of in one call.")
