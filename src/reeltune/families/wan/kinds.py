"""What a safetensors file is that holds no Wan 2.1 text-to-video transformer, and what to do with it. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from reeltune.errors import ModelError
from reeltune.families.wan.variants import not_supported

OTHER_PARTS = (
    *("vae.", "first_stage_model."),
    *("text_encoders.", "text_encoder.", "cond_stage_model.", "conditioner.", "clip_vision."),
)
"""How names begin of what a checkpoint of a whole pipeline holds beside the transformer."""

_LORA = "give it as init_lora, and the model that it was trained on as pretrained_model_name_or_path."
_PLAIN = "take the bf16, fp16 or plain fp8 file of the same model; base_model_precision saves memory."
_SIGNS = (
    (
        r"\.lora_|lora_unet|\.alpha$|^lycoris_|\.lokr_w|\.hada_w|\.dora_scale$|\.diff(_b)?$",
        "an adapter, not a whole transformer",
        _LORA,
    ),
    (r"scaled_fp8|\.scale_weight$|\.weight_scale$|comfy_quant", "a file of scaled 8-bit weights", _PLAIN),
    (r"\.quant_state|\.absmax$|\.qweight$", "a file of 4-bit weights", _PLAIN),
    (r"vace_blocks\.|vace_patch_embedding", "a VACE model", None),
    (r"img_emb\.emb_pos|image_embedder\.pos_embed", "a first-and-last-frame (FLF2V) model", None),
    (r"img_emb\.|image_embedder\.|\.k_img\.|\.add_k_proj\.", "an image-to-video model", None),
    (r"motion_encoder\.|face_adapter\.|audio_injector\.", "a Wan 2.2 model for animation or speech", None),
)
"""Parts of tensors' names that only other kinds of file have: what these are, and what to do where another Wan is not
the answer."""
_OTHER_COMPONENTS = (
    (r"^(encoder|decoder)\.(conv1|conv_in)\.", "an autoencoder", "give it as pretrained_vae_model_name_or_path."),
    (
        r"^(shared|token_embedding)\.weight$",
        "a text encoder",
        "give its folder in the diffusers layout as pretrained_t5_model_name_or_path.",
    ),
)
_OF_22 = re.compile(r"(high|low)[-_. ]?noise|wan[-_. ]?2[._]2", re.IGNORECASE)


def refuse_other_kinds(path: Path, names: Collection[str]) -> None:
    """Raise ModelError, in one sentence, for a file of another kind, as far as the names of its tensors tell."""
    own = [name for name in names if not name.startswith(OTHER_PARTS)]
    for sign, kind, advice in _SIGNS:
        if any(re.search(sign, name) for name in own):
            raise not_supported(str(path), kind, advice)
    # Its experts have the shapes of Wan 2.1 14B.
    if _OF_22.search(path.name):
        raise not_supported(str(path), "a Wan 2.2 model, or one of the two experts of Wan 2.2, by its file name")


def no_transformer(path: Path, names: Collection[str]) -> ModelError:
    """Return the error for a file in which no Wan transformer is recognised."""
    if not names:
        return ModelError(f"{path} holds no tensor at all. Fetch it again from where it came.")
    for sign, kind, advice in _OTHER_COMPONENTS:
        if any(re.search(sign, name) for name in names):
            return not_supported(str(path), kind, advice)
    shown = ", ".join(sorted(names)[:3])
    return not_supported(str(path), f"no Wan transformer (its tensors are called {shown} ...)")
