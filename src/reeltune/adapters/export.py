"""Adapter files as other programs read them: the diffusers layout and ComfyUI's.

Files are byte-stable: no dates, tensors in order of their names, metadata in one JSON-valued key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from reeltune.adapters.lora import Lora
from reeltune.tensor_files import save_tensors

DIFFUSERS_METADATA_KEY = "lora_adapter_metadata"


def save_diffusers(path: Path, tensors: Mapping[str, Tensor], lora: Lora) -> None:
    """Write what `WanPipeline.load_lora_weights` reads. Rank and alpha travel in the metadata."""
    description = {
        "transformer.r": lora.rank,
        "transformer.lora_alpha": lora.alpha,
        "transformer.target_modules": sorted(lora.targets),
    }
    named = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    _save(path, named, {DIFFUSERS_METADATA_KEY: json.dumps(description, sort_keys=True)})


def save_comfyui(path: Path, tensors: Mapping[str, Tensor], lora: Lora, names: tuple[tuple[str, str], ...]) -> None:
    """Write what ComfyUI reads: the release's own module names, and alpha beside each pair.

    names: parts of a module's name as (here, in the release).
    """
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        renamed = f"diffusion_model.{renamed_module(name, names)}"
        named[renamed] = tensor
        named[f"{renamed.partition('.lora_')[0]}.alpha"] = torch.tensor(lora.alpha)
    _save(path, named, {})


def renamed_module(name: str, names: tuple[tuple[str, str], ...]) -> str:
    """Return a tensor's name with the parts of its module's name replaced."""
    for ours, theirs in names:
        name = name.replace(ours, theirs)
    return name


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    on_host = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    save_tensors(path, on_host, metadata or {"format": "pt"})
