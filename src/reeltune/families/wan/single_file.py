"""A transformer in one safetensors file: what it is, seen from its header alone, and how its tensors are called there.

Three layouts are in use: diffusers' names, those of the model's own release (`blocks.0.self_attn.q.weight`), and the
latter behind the prefix under which ComfyUI keeps them. No torch.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reeltune.errors import ModelError
from reeltune.families.wan.variants import LARGE, RELEASED, SMALL, WAN_21, not_supported
from reeltune.families.weight_files import Shape, length_problem, read_header

_PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.")
_NAMES = (
    *WAN_21.comfyui_names,
    ("condition_embedder.time_embedder.linear_1.", "time_embedding.0."),
    ("condition_embedder.time_embedder.linear_2.", "time_embedding.2."),
    ("condition_embedder.text_embedder.linear_1.", "text_embedding.0."),
    ("condition_embedder.text_embedder.linear_2.", "text_embedding.2."),
    ("condition_embedder.time_proj.", "time_projection.1."),
    ("proj_out.", "head.head."),
    (".norm2.", ".norm3."),
    (".scale_shift_table", ".modulation"),
)
"""How diffusers' names are written in the release, as (ours, theirs) parts of a name."""

_SIGNS = (
    (r"\.lora_|lora_unet|\.alpha$", "an adapter, not a whole transformer"),
    (r"scaled_fp8|\.scale_weight$|\.weight_scale$|comfy_quant", "a file of scaled 8-bit weights"),
    (r"\.quant_state|\.absmax$", "a file of 4-bit weights"),
    (r"vace_blocks\.|vace_patch_embedding", "a VACE model"),
    (r"img_emb\.emb_pos|image_embedder\.pos_embed", "a first-and-last-frame (FLF2V) model"),
    (r"img_emb\.|image_embedder\.|\.k_img\.|\.add_k_proj\.", "an image-to-video model"),
    (r"motion_encoder\.|face_adapter\.|audio_injector\.", "a Wan 2.2 model for animation or speech"),
)
"""Parts of tensors' names that only other kinds of file have."""
_OF_22 = re.compile(r"(high|low)[-_. ]?noise|wan[-_. ]?2[._]2", re.IGNORECASE)

_NEEDED = (
    "patch_embedding.weight",
    "condition_embedder.text_embedder.linear_1.weight",
    "condition_embedder.time_embedder.linear_1.weight",
    "blocks.0.ffn.net.0.proj.weight",
    "proj_out.weight",
)
"""Tensors that tell the sizes."""


@dataclass(frozen=True)
class SingleFile:
    """A whole Wan 2.1 transformer in one file.

    shapes: of its tensors by their names in the file. prefix: before each name. in_release_names: whether the names
    are those of the model's release instead of diffusers'. head_width: channels of an attention head.
    """

    path: Path
    shapes: Mapping[str, Shape]
    prefix: str
    in_release_names: bool
    head_width: int = SMALL.head_width

    def name_of(self, name: str) -> str:
        """Return how a tensor of diffusers' module is called in the file."""
        return self.prefix + (release_name(name) if self.in_release_names else name)

    def shape_of(self, name: str) -> Shape:
        return self.shapes.get(self.name_of(name), ())

    @property
    def width(self) -> int:
        return self.shape_of("patch_embedding.weight")[0]

    @property
    def release(self) -> str:
        """Return the repository of the released model of this size, which has all that the file has not."""
        wanted = LARGE if self.width == LARGE.width else SMALL
        return next(name for name, dimensions in RELEASED.items() if dimensions == wanted)

    def config(self) -> dict[str, Any]:
        """Return the configuration of diffusers' module that the shapes ask for."""
        patch = self.shape_of("patch_embedding.weight")
        blocks = self.name_of("blocks.")
        return {
            "_class_name": "WanTransformer3DModel",
            "patch_size": list(patch[2:]),
            "num_attention_heads": self.width // self.head_width,
            "attention_head_dim": self.head_width,
            "in_channels": patch[1],
            "out_channels": self.shape_of("proj_out.weight")[0] // math.prod(patch[2:]),
            "text_dim": self.shape_of("condition_embedder.text_embedder.linear_1.weight")[1],
            "freq_dim": self.shape_of("condition_embedder.time_embedder.linear_1.weight")[1],
            "ffn_dim": self.shape_of("blocks.0.ffn.net.0.proj.weight")[0],
            "num_layers": len({name[len(blocks) :].split(".")[0] for name in self.shapes if name.startswith(blocks)}),
            "cross_attn_norm": bool(self.shape_of("blocks.0.norm2.weight")),
        }


def look_into(path: Path, base: Mapping[str, Any] | None = None) -> SingleFile:
    """Recognise the transformer in a file.

    base: configuration of the transformer that it may be a version of; no shape tells the width of a head.
    Raises ModelError, in one sentence, for a file that holds something else.
    """
    shapes = _shapes(path)
    if kind := _other_kind(path, shapes):
        raise not_supported(str(path), kind)
    for prefix, in_release_names in itertools.product(_PREFIXES, (True, False)):
        file = SingleFile(path, shapes, prefix, in_release_names)
        if all(file.shape_of(name) for name in _NEEDED):
            return _sized(file, base)
    raise not_supported(str(path), "no Wan transformer")


def _sized(file: SingleFile, base: Mapping[str, Any] | None) -> SingleFile:
    """Return the file with the width of its heads, after making sure of the sizes that all versions share."""
    if file.shape_of("patch_embedding.weight")[1] != WAN_21.geometry.channels:
        raise not_supported(str(file.path), "a model with other latent channels, such as Wan 2.2 5B or I2V")
    if base and base["num_attention_heads"] * base["attention_head_dim"] == file.width:
        return replace(file, head_width=base["attention_head_dim"])
    if file.width % file.head_width:
        raise not_supported(str(file.path), f"a transformer {file.width} wide")
    return file


def release_name(name: str) -> str:
    """Return the name, in the model's own release, of a tensor of diffusers' module."""
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in _NAMES:
        name = name.replace(ours, theirs)
    return name


def _shapes(path: Path) -> Mapping[str, Shape]:
    if not path.is_file():
        raise ModelError(
            f"{path} is no file here. To fetch a single file of a hub repository, type: "
            "hf download OWNER/NAME FILE.safetensors --local-dir FOLDER"
        )
    if problem := length_problem(path):
        raise ModelError(f"{path} {problem}. Fetch it again from where it came.")
    return read_header(path).shapes


def _other_kind(path: Path, names: Collection[str]) -> str | None:
    """Name what a file is that is no Wan 2.1 text-to-video transformer, as far as names tell."""
    for sign, kind in _SIGNS:
        if any(re.search(sign, name) for name in names):
            return kind
    # Its experts have the shapes of Wan 2.1 14B.
    return "one of the two experts of Wan 2.2, by its file name" if _OF_22.search(path.name) else None
