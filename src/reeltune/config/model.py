"""Which model is trained and in what precision."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class ModelOptions(Section):
    model_family: Literal["wan"] = option("wan", "Family of the model: Wan 2.1 text-to-video.")
    model_type: Literal["lora"] = option("lora", "What is trained: a low-rank adapter.")
    pretrained_model_name_or_path: str = option(
        ...,
        "Hub repository or folder in the diffusers layout that holds the base model.",
        example="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    )
    pretrained_t5_model_name_or_path: str | None = option(
        None, "Another place for the text encoder and its tokenizer; unset takes them from the base model."
    )
    pretrained_vae_model_name_or_path: str | None = option(
        None, "Another place for the autoencoder; unset takes it from the base model."
    )
    pretrained_transformer_model_name_or_path: str | None = option(
        None, "Another place for the transformer; unset takes it from the base model."
    )
    mixed_precision: Literal["bf16", "no"] = option(
        "bf16",
        "Number type of the frozen base and of the activations: bf16, or no for float32. Trained weights are float32.",
    )
