"""What the files that describe an adapter say, as a checkpoint keeps it: their content counts, not their place."""

from __future__ import annotations

from typing import Any

from reeltune.config.lycoris import lycoris_of
from reeltune.config.root import Config
from reeltune.config.targets import target_entries

ADAPTER_RECORD = "adapter.json"
"""The record's name in a run folder and in a checkpoint."""


def adapter_record(config: Config) -> dict[str, Any]:
    """Return the content. kind: full, standard or lycoris; the rest is that kind's."""
    adapter = config.adapter
    if config.model.model_type == "full":
        return {"kind": "full"}
    if adapter.lora_type == "lycoris":
        assert adapter.lycoris_config
        description = lycoris_of(adapter.lycoris_config)
        return {"kind": "lycoris", **description.model_dump(mode="json", exclude_none=True)}
    return {"kind": "standard", "peft_lora_target_modules": list(target_entries(adapter))}
