"""What is trained on top of the frozen base."""

from __future__ import annotations

from typing import Any, Literal

from reeltune.config.option import Section, option


class AdapterOptions(Section):
    lora_type: Literal["standard", "lycoris"] = option(
        "standard", "Kind of adapter: standard is LoRA as PEFT defines it; lycoris is what lycoris_config describes."
    )
    lycoris_config: str | dict[str, Any] | None = option(
        None,
        "JSON file that describes a LyCORIS adapter, or its content; read with lora_type lycoris only.",
        example="config/lycoris_config.json",
    )
    lora_rank: int = option(16, "Inner width of each adapted layer's update.", ge=1, example=16)
    lora_alpha: float | None = option(
        None, "The update is scaled by alpha / rank; unset means alpha = rank, a scale of 1.", gt=0
    )
    lora_dropout: float = option(0.0, "Share of the adapter's inputs dropped in training.", ge=0, lt=1)
    lora_init_type: Literal["default", "gaussian", "pissa", "olora"] = option(
        "default",
        "How a LoRA starts: default and gaussian draw one half at random, the other is zero; pissa and olora start "
        "from the main directions of the base's own weights. The base itself is never changed.",
        refused={
            "loftq": "it makes up for the rounding of a base in 4 bits, which Wan's transformer does not survive; "
            "default works on every base"
        },
    )
    use_dora: bool = option(
        False, "Weight-decomposed LoRA (DoRA): the length of each row of a weight is trained apart from its direction."
    )
    peft_lora_target_modules: tuple[str, ...] | str | None = option(
        None,
        "Which linear layers a LoRA adapts: a list, or a JSON file that holds one. Each entry is attention, ffn, "
        'all-linear, the end of layers\' names such as "attn1.to_q", or a pattern with * for whole names; unset is '
        "attention.",
        also=("lora_target_modules",),
        example=["attention", "ffn"],
    )
    lora_blocks: str | None = option(
        None,
        "Blocks of the transformer whose layers a LoRA adapts, counted from 0, negative ones from the end; unset is "
        "all.",
        example="8-21, -1",
    )
    init_lora: str | None = option(
        None,
        "Adapter file whose weights a run starts from; a .safetensors file of the same kind and size.",
        example="output/earlier/pytorch_lora_weights.safetensors",
    )
    init_lokr_norm: float | None = option(
        None,
        "With LoKr: start from small random changes, this many times as large as the base's weights, instead of none.",
        gt=0,
        example=1e-3,
    )
    validation_lycoris_strength: float = option(
        1.0, "Strength at which a LyCORIS adapter is shown in validation videos.", ge=0
    )
    full_output: Literal["transformer", "pipeline"] = option(
        "transformer",
        "With model_type full: what a run leaves behind, the transformer's folder alone, or a whole pipeline with the "
        "base's other parts.",
    )
