"""A transformer in one safetensors file: what it is, seen from its header alone, and how its tensors are called there.

Three layouts are in use: diffusers' names, those of the model's own release (`blocks.0.self_attn.q.weight`), and the
latter behind the prefix under which ComfyUI keeps them. No torch.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reeltune.errors import ModelError, listed
from reeltune.families.wan.kinds import OTHER_PARTS, no_transformer, refuse_other_kinds
from reeltune.families.wan.variants import LARGE, RELEASED, SMALL, WAN_21, not_supported
from reeltune.families.weight_files import Shape, header_shapes, shortened, whole_again

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

_NEEDED = {
    "patch_embedding.weight": 5,
    "condition_embedder.text_embedder.linear_1.weight": 2,
    "condition_embedder.time_embedder.linear_1.weight": 2,
    "blocks.0.ffn.net.0.proj.weight": 2,
    "proj_out.weight": 2,
}
"""Tensors that tell the sizes, and how many axes they have."""
_RECOGNISED = 3
"""How many of them make a file a Wan transformer, of which others may then be missing."""


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

    def own_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the transformer's tensors, without those of other parts of a pipeline."""
        return {
            name: shape
            for name, shape in self.shapes.items()
            if name.startswith(self.prefix) and not name.startswith(OTHER_PARTS)
        }

    def other_names(self) -> list[str]:
        """Return the names of the tensors that belong to other parts."""
        return sorted(self.shapes.keys() - self.own_shapes().keys())

    def known(self) -> list[str]:
        """Return which of the tensors that tell the sizes are there."""
        return [name for name, axes in _NEEDED.items() if len(self.shape_of(name)) == axes]

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
    shapes = header_shapes(path)
    refuse_other_kinds(path, shapes)
    layouts = [SingleFile(path, shapes, *layout) for layout in itertools.product(_PREFIXES, (True, False))]
    file = max(layouts, key=lambda layout: len(layout.known()))
    if len(file.known()) < _RECOGNISED:
        raise no_transformer(path, shapes)
    if len(file.known()) < len(_NEEDED):
        raise _incomplete(file)
    if empty := [f"{name} is empty" for name, shape in file.own_shapes().items() if 0 in shape]:
        raise ModelError(f"{listed(str(path), shortened(empty))}\n{whole_again(path)}")
    return _sized(file, base)


def _incomplete(file: SingleFile) -> ModelError:
    """Return the error for a file without, or with other axes in, a tensor that tells the sizes."""
    wrong = [f"{file.name_of(name)} {_found(file, name)}" for name in _NEEDED if name not in file.known()]
    one_of_several = re.search(r"-\d+-of-\d+", file.path.name)
    advice = "It is one shard of several: give their folder." if one_of_several else whole_again(file.path)
    return ModelError(f"{listed(f'{file.path} is no whole transformer', wrong)}\n{advice}")


def _found(file: SingleFile, name: str) -> str:
    shape = file.shapes.get(file.name_of(name))
    return "is missing" if shape is None else f"has shape {list(shape)} instead of {_NEEDED[name]} axes"


def _sized(file: SingleFile, base: Mapping[str, Any] | None) -> SingleFile:
    """Return the file with the width of its heads, after making sure of the sizes that all versions share."""
    if file.shape_of("patch_embedding.weight")[1] != WAN_21.geometry.channels:
        raise not_supported(str(file.path), "a model with other latent channels, such as Wan 2.2 5B or I2V")
    heads = {size.width: size.head_width for size in (SMALL, LARGE)}
    if base and "num_attention_heads" in base:
        heads[base["num_attention_heads"] * base["attention_head_dim"]] = base["attention_head_dim"]
    if file.width not in heads:
        known = " and ".join(str(width) for width in sorted(heads))
        advice = "its size must be the base model's: the width of its heads is not in the file."
        raise not_supported(str(file.path), f"a transformer {file.width} wide ({known} are known)", advice)
    return replace(file, head_width=heads[file.width])


def release_name(name: str) -> str:
    """Return the name, in the model's own release, of a tensor of diffusers' module."""
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in _NAMES:
        name = name.replace(ours, theirs)
    return name
