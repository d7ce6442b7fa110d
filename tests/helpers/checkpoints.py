"""Checkpoints as others write them: the names of Wan's own release and ComfyUI's, in other number types, in one file.

The names are written down here once more, module by module and in full, so that what the package reads is held against
a second source. Source: the modules of the release, wan/modules/model.py and wan/modules/vae.py of
github.com/Wan-Video/Wan2.1; ComfyUI keeps those names behind a prefix.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

Layout = Callable[[str], str]

_OUTER = {
    "patch_embedding": "patch_embedding",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "proj_out": "head.head",
}
_IN_BLOCK = {
    "attn1.to_q": "self_attn.q",
    "attn1.to_k": "self_attn.k",
    "attn1.to_v": "self_attn.v",
    "attn1.to_out.0": "self_attn.o",
    "attn1.norm_q": "self_attn.norm_q",
    "attn1.norm_k": "self_attn.norm_k",
    "attn2.to_q": "cross_attn.q",
    "attn2.to_k": "cross_attn.k",
    "attn2.to_v": "cross_attn.v",
    "attn2.to_out.0": "cross_attn.o",
    "attn2.norm_q": "cross_attn.norm_q",
    "attn2.norm_k": "cross_attn.norm_k",
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
_VAE_OUTER = {
    "quant_conv": "conv1",
    "post_quant_conv": "conv2",
    "encoder.conv_in": "encoder.conv1",
    "encoder.norm_out": "encoder.head.0",
    "encoder.conv_out": "encoder.head.2",
    "decoder.conv_in": "decoder.conv1",
    "decoder.norm_out": "decoder.head.0",
    "decoder.conv_out": "decoder.head.2",
}
_RESIDUAL = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
    "resample.1": "resample.1",
    "time_conv": "time_conv",
}
_MIDDLE = {"resnets.0": "middle.0", "attentions.0": "middle.1", "resnets.1": "middle.2"}
_PER_UP_BLOCK = 4
"""Modules of a stage of the decoder: three residual blocks, and what makes frames larger."""


def original(name: str) -> str:
    """Return what the release calls a tensor of the transformer."""
    if name == "scale_shift_table":
        return "head.modulation"
    module, _, last = name.rpartition(".")
    if module in _OUTER:
        return f"{_OUTER[module]}.{last}"
    _, number, inner = name.split(".", 2)
    if inner == "scale_shift_table":
        return f"blocks.{number}.modulation"
    return f"blocks.{number}.{_IN_BLOCK[inner.rpartition('.')[0]]}.{last}"


def original_vae(name: str) -> str:
    """Return what the release calls a tensor of an autoencoder with two residual blocks a stage."""
    module, _, last = name.rpartition(".")
    if module in _VAE_OUTER:
        return f"{_VAE_OUTER[module]}.{last}"
    side, kind, number, *inner = module.split(".")
    if kind == "down_blocks":
        return f"encoder.downsamples.{number}.{_RESIDUAL['.'.join(inner)]}.{last}"
    if kind == "up_blocks":
        part, place, *rest = inner
        index = _PER_UP_BLOCK * int(number) + (int(place) if part == "resnets" else _PER_UP_BLOCK - 1)
        return f"decoder.upsamples.{index}.{_RESIDUAL['.'.join(rest)]}.{last}"
    place, rest = f"{number}.{inner[0]}", ".".join(inner[1:])
    return f"{side}.{_MIDDLE[place]}.{_RESIDUAL.get(rest, rest)}.{last}"


LAYOUTS: dict[str, Layout] = {
    "diffusers": str,
    "diffusers behind a prefix": lambda name: f"transformer.{name}",
    "original": original,
    "comfyui": lambda name: f"diffusion_model.{original(name)}",
    "comfyui, whole": lambda name: f"model.diffusion_model.{original(name)}",
}
"""How the transformer's tensors are called in files."""


def write_checkpoint(
    file: Path, tensors: Mapping[str, Tensor], layout: Layout, *, dtype: torch.dtype | None = None
) -> Path:
    """Write tensors, which come by diffusers' names, in one file. dtype: of all of them; None leaves each as it is."""
    save_file({layout(name): tensor.to(dtype or tensor.dtype) for name, tensor in tensors.items()}, file)
    return file


def rounded(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return tensors in float32 whose values are those that a number type has."""
    return {name: tensor.to(dtype).float() for name, tensor in tensors.items()}


def write_header(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """Write a file of holes: its header says what would be in it."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + end)
    return file
