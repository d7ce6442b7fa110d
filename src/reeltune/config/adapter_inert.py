"""Options of adapters that change nothing beside what is trained, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reeltune.config.adapter import AdapterOptions
from reeltune.config.root import Config

LORA = (
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_init_type",
    "use_dora",
    "peft_lora_target_modules",
    "lora_blocks",
)
"""What describes a plain LoRA."""

LYCORIS = ("init_lokr_norm", "validation_lycoris_strength")
"""What is read beside a description of LyCORIS."""


def inert_adapter_options(config: Config) -> Iterator[tuple[Iterable[str], str]]:
    """Yield names of options, and why nothing depends on them."""
    if config.model.model_type == "full":
        yield ("lycoris_config",), "is not used: model_type is full, so all weights are trained and there is no adapter"
        names = [name for name in AdapterOptions.model_fields if name not in ("lycoris_config", "full_output")]
        yield names, "model_type is full: there is no adapter"
        return
    yield ("full_output",), "model_type is lora: an adapter's files are what a run leaves behind"
    if config.adapter.lora_type == "lycoris":
        yield LORA, "lora_type is lycoris: lycoris_config describes the adapter"
    else:
        yield ("lycoris_config",), "is not used: lora_type is standard, so a plain LoRA is trained"
        yield LYCORIS, "lora_type is standard, so a plain LoRA is trained"
