"""Facts about Wan 2.1 text-to-video, and how its relatives that are not supported are recognised.

Source: the model's release and its diffusers configuration; 1.3B has 30 blocks, 14B has 40, both train at 16 frames per
second with 512 text tokens.
"""

from __future__ import annotations

from typing import Any

from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.facts import Facts
from reeltune.contracts.geometry import LatentGeometry
from reeltune.errors import ModelError

_ATTENTION_LINEARS = ("to_q", "to_k", "to_v", "to_out.0")

WAN_21 = Facts(
    geometry=LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2)),
    fps=16.0,
    text_length=512,
    adapter_targets=tuple(f"{block}.{linear}" for block in ("attn1", "attn2") for linear in _ATTENTION_LINEARS),
    comfyui_names=(
        (".attn1.", ".self_attn."),
        (".attn2.", ".cross_attn."),
        (".to_q.", ".q."),
        (".to_k.", ".k."),
        (".to_v.", ".v."),
        (".to_out.0.", ".o."),
        (".ffn.net.0.proj.", ".ffn.0."),
        (".ffn.net.2.", ".ffn.2."),
    ),
    blocks="blocks",
    block_layers=(
        *(f"{block}.{linear}" for block in ("attn1", "attn2") for linear in _ATTENTION_LINEARS),
        "ffn.net.0.proj",
        "ffn.net.2",
    ),
    outer_layers=(
        "condition_embedder.time_embedder.linear_1",
        "condition_embedder.time_embedder.linear_2",
        "condition_embedder.time_proj",
        "condition_embedder.text_embedder.linear_1",
        "condition_embedder.text_embedder.linear_2",
        "proj_out",
    ),
    class_names=(("Attention", "WanAttention"), ("TransformerBlock", "WanTransformerBlock")),
)

SMALL, LARGE = (
    Dimensions(layers=30, heads=12, head_width=128, ffn=8960),
    Dimensions(layers=40, heads=40, head_width=128, ffn=13824),
)
RELEASED = {"Wan-AI/Wan2.1-T2V-1.3B-Diffusers": SMALL, "Wan-AI/Wan2.1-T2V-14B-Diffusers": LARGE}
"""The transformer's size by the repository that it is released in."""


def refuse_relatives(source: str, transformer: dict[str, Any], index: dict[str, Any]) -> None:
    """Raise ModelError for a model that is Wan but not Wan 2.1 text-to-video.

    transformer: its configuration. index: that of the whole model, or nothing.
    """
    signs = (
        (transformer.get("_class_name") == "WanVACETransformer3DModel", "a VACE model"),
        (transformer.get("pos_embed_seq_len") is not None, "a first-and-last-frame (FLF2V) model"),
        (transformer.get("image_dim") is not None, "an image-to-video model"),
        (index.get("transformer_2", [None])[0] is not None, "a two-expert Wan 2.2 model"),
        (transformer.get("in_channels", 16) != 16, "a model with other latent channels, such as Wan 2.2 5B or I2V"),
        (transformer.get("_class_name") != "WanTransformer3DModel", "no Wan transformer"),
    )
    for found, kind in signs:
        if found:
            raise not_supported(source, kind)


def not_supported(source: str, kind: str) -> ModelError:
    """Return the error, in one sentence, for a model of another kind."""
    return ModelError(
        f"{source} is {kind}; Wan 2.1 text-to-video is what can be trained, such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
    )
