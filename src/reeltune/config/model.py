"""Which model is trained and in what precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from reeltune.config.attention import ATTENTION
from reeltune.config.option import Section, option

Attention: TypeAlias = Literal[tuple(ATTENTION)]  # pyright: ignore[reportInvalidTypeForm]  # the table is the one list of names

FLAVOURS: Mapping[str, str] = {
    "t2v-480p-1.3b-2.1": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "t2v-480p-14b-2.1": "Wan-AI/Wan2.1-T2V-14B-Diffusers",
}
"""Short names of the released models."""

_NO_4_BIT = "Wan's transformer does not survive 4 bits or fewer; int8-quanto and int8-torchao work"
_NO_ACTIVATIONS = "it rounds activations, whose gradients would be silently wrong; int8-torchao rounds weights only"
REFUSED_PRECISIONS: dict[str, str] = {
    "nf4*": _NO_4_BIT,
    "int4*": _NO_4_BIT,
    "int2*": _NO_4_BIT,
    "int8dq*": _NO_ACTIVATIONS,
    "fp8uz-quanto": "a format of one kind of GPU; fp8-quanto and fp8-torchao are the same size",
    "fp8-native": "it is not available; fp8-torchao keeps weights in the same format",
    "*-sdnq": "it is not available; int8-torchao and fp8-torchao are",
}
REFUSED_TEXT_PRECISIONS: Mapping[str, str] = REFUSED_PRECISIONS | dict.fromkeys(
    ("nf4*", "int4*", "int2*"), "fewer than 8 bits are not available; int8-quanto and int8-torchao are"
)
Precision = Literal["no_change", "int8-quanto", "int8-torchao", "fp8-quanto", "fp8-torchao"]


class ModelOptions(Section):
    model_family: Literal["wan"] = option("wan", "Family of the model: Wan 2.1 text-to-video.")
    model_type: Literal["lora", "full"] = option(
        "lora", "What is trained: an adapter on the frozen model (lora), or the whole transformer (full)."
    )
    model_flavour: Literal[tuple(FLAVOURS)] | None = option(  # pyright: ignore[reportInvalidTypeForm]
        None,
        "A released model by its short name; used where pretrained_model_name_or_path is not set.",
        example="t2v-480p-14b-2.1",
    )
    pretrained_model_name_or_path: str = option(
        FLAVOURS["t2v-480p-1.3b-2.1"],
        "Hub repository or folder in the diffusers layout that holds the base model, or a single .safetensors file "
        "of its transformer.",
        example="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        min_length=1,
    )
    pretrained_t5_model_name_or_path: str | None = option(
        None, "Another place for the text encoder and its tokenizer; unset takes them from the base model."
    )
    pretrained_vae_model_name_or_path: str | None = option(
        None,
        "Another place for the autoencoder: a repository, a folder or a single .safetensors file; unset takes it from "
        "the base model.",
    )
    pretrained_transformer_model_name_or_path: str | None = option(
        None,
        "Another place for the transformer: a repository, a folder or a single .safetensors file; unset takes it from "
        "the base model.",
        also=("pretrained_transformer_name_or_path",),
    )
    pretrained_transformer_subfolder: str = option(
        "transformer",
        'Folder of the transformer inside pretrained_transformer_model_name_or_path; "none" when it lies at the top.',
    )
    revision: str | None = option(None, "Branch, tag or commit of the hub repositories; unset takes the newest.")
    variant: str | None = option(
        None, "Variant of the weight files, the word before .safetensors in their names.", example="fp16"
    )
    mixed_precision: Literal["bf16", "no"] = option(
        "bf16",
        "Number type of the frozen base and of the activations: bf16, or no for float32. Trained weights are float32.",
        refused={
            "fp16": "small gradients vanish in it; use bf16, or no on GPUs without bf16 such as the V100",
            "fp8": "it is a format for weights: base_model_precision=fp8-torchao keeps the base in it",
        },
    )
    base_model_precision: Precision = option(
        "no_change",
        "Format of the frozen transformer's attention and feed-forward weights: 8 bits halve their memory.",
        example="int8-quanto",
        refused=REFUSED_PRECISIONS,
    )
    base_model_default_dtype: Literal["bf16", "fp32"] = option(
        "bf16", "With a quantized base: number type of what is not quantized, and of the activations."
    )
    quantize_via: Literal["cpu", "accelerator"] = option(
        "cpu",
        "Where weights are quantized: cpu never holds the whole base on the GPU; accelerator is faster.",
        refused={"pipeline": "it is not available; cpu and accelerator are"},
    )
    quantize_activations: Literal[False] = option(
        False,
        "Round activations as well: not possible in training, so false is the one value.",
        refused={"True": "gradients through rounded activations are silently wrong; weights alone can be quantized"},
    )
    text_encoder_1_precision: Precision = option(
        "no_change",
        "Format of the text encoder's weights, for machines whose memory it does not fit.",
        refused=REFUSED_TEXT_PRECISIONS,
    )
    attention_mechanism: Attention = option(
        "diffusers",
        "Attention kernel of the validation videos; training always uses one with a backward pass.",
        example="sageattention",
    )
    sageattention_usage: Literal["inference"] = option(
        "inference",
        "Where SageAttention is used: in validation videos.",
        refused={"training*": "SageAttention has no backward pass: what it computes would not be trained"},
    )
    offload_during_startup: bool = option(
        True,
        "Free the text encoder and the autoencoder as soon as they are not needed; false keeps them on the device, "
        "which saves loading them again for videos.",
    )

    @property
    def base_model(self) -> str:
        """Return where the base model is, by path or by flavour."""
        if self.model_flavour and "pretrained_model_name_or_path" not in self.model_fields_set:
            return FLAVOURS[self.model_flavour]
        return self.pretrained_model_name_or_path

    @property
    def compute_type(self) -> str:
        """Return the number type of activations and of what is not quantized: bf16 or no, as mixed_precision has it."""
        if self.base_model_precision == "no_change":
            return self.mixed_precision
        return "bf16" if self.base_model_default_dtype == "bf16" else "no"
