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
        ("condition_embedder.time_embedder.linear_1.", "time_embedding.0."),
        ("condition_embedder.time_embedder.linear_2.", "time_embedding.2."),
        ("condition_embedder.text_embedder.linear_1.", "text_embedding.0."),
        ("condition_embedder.text_embedder.linear_2.", "text_embedding.2."),
        ("condition_embedder.time_proj.", "time_projection.1."),
        ("proj_out.", "head.head."),
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
    architecture="wan2.1",
    implementation="https://github.com/Wan-Video/Wan2.1",
)

SMALL, LARGE = (
    Dimensions(layers=30, heads=12, head_width=128, ffn=8960),
    Dimensions(layers=40, heads=40, head_width=128, ffn=13824),
)
RELEASED = {"Wan-AI/Wan2.1-T2V-1.3B-Diffusers": SMALL, "Wan-AI/Wan2.1-T2V-14B-Diffusers": LARGE}
"""The transformer's size by the repository that it is released in."""

_AUTOENCODER = "AutoencoderKLWan"
_ELSEWHERE = "Wan 2.1 text-to-video is what can be trained, such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
_ORIGINAL = (
    "give its .safetensors file itself, or the repository whose name ends in -Diffusers, "
    "such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
)
_ORIGINAL_KINDS = {
    "i2v": "an image-to-video model",
    "flf2v": "a first-and-last-frame (FLF2V) model",
    "vace": "a VACE model",
    "ti2v": "a model with other latent channels, such as Wan 2.2 5B or I2V",
}
"""What the release's own configuration calls `model_type`."""


def refuse_relatives(source: str, transformer: dict[str, Any], index: dict[str, Any]) -> None:
    """Raise ModelError for a model that is Wan but not Wan 2.1 text-to-video.

    transformer: its configuration. index: that of the whole model, or nothing.
    """
    if transformer.get("_class_name") == "WanModel" and transformer.get("model_type") == "t2v":
        raise not_supported(source, "in the layout of the model's own release", _ORIGINAL)
    signs = (
        (transformer.get("_class_name") == "WanVACETransformer3DModel", "a VACE model"),
        (transformer.get("pos_embed_seq_len") is not None, "a first-and-last-frame (FLF2V) model"),
        (transformer.get("image_dim") is not None, "an image-to-video model"),
        (index.get("transformer_2", [None])[0] is not None, "a two-expert Wan 2.2 model"),
        (transformer.get("in_channels", 16) != 16, "a model with other latent channels, such as Wan 2.2 5B or I2V"),
        (transformer.get("model_type") in _ORIGINAL_KINDS, _ORIGINAL_KINDS.get(transformer.get("model_type", ""))),
        (transformer.get("_class_name") != "WanTransformer3DModel", "no Wan transformer"),
    )
    for found, kind in signs:
        if found:
            raise not_supported(source, str(kind))


def refuse_other_autoencoders(source: str, vae: dict[str, Any]) -> None:
    """Raise ModelError for an autoencoder that is not Wan 2.1's. vae: its configuration."""
    kind, channels = vae.get("_class_name", _AUTOENCODER), vae.get("z_dim", WAN_21.geometry.channels)
    if kind != _AUTOENCODER:
        raise other_autoencoder(source, f"of class {kind}")
    if channels != WAN_21.geometry.channels:
        raise other_autoencoder(source, channels_of(channels))


def channels_of(channels: int) -> str:
    """Say what an autoencoder is by the number of its latent channels."""
    return f"of {channels} channels" + (" (Wan 2.2 5B's)" if channels == 48 else "")


def other_autoencoder(source: str, kind: str) -> ModelError:
    """Return the error, in one sentence, for an autoencoder of another kind."""
    return ModelError(
        f"{source} holds an autoencoder {kind}; that of Wan 2.1 ({_AUTOENCODER}, {WAN_21.geometry.channels} channels) "
        "is needed, such as the base model's own: unset pretrained_vae_model_name_or_path."
    )


def not_supported(source: str, kind: str, advice: str | None = None) -> ModelError:
    """Return the error, in one sentence, for a model of another kind. advice: what to do instead of taking another."""
    return ModelError(f"{source} is {kind}; {advice or _ELSEWHERE}")
