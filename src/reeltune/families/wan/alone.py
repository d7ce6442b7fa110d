"""The transformer without the rest of the model: what is merged into, and what adapters are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open

from reeltune.config.model import ModelOptions
from reeltune.families.sources import component_folder, read_config, read_layout
from reeltune.families.wan.single_file import SingleFile, release_name
from reeltune.families.wan.sources import single_file, sources_of
from reeltune.families.wan.transformer import find_transformer, load_transformer, name_of_content, number_type
from reeltune.families.wan.variants import refuse_relatives
from reeltune.families.weight_files import weight_files

_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float32}
"""Number types that a transformer computes in, by how files call them; of others, such as 8 bits, it is bfloat16."""


def name_in_release(name: str) -> str:
    """Return how the model's own release calls a tensor of the transformer."""
    return release_name(name)


def number_type_of(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type of a parameter of a transformer in `dtype`: float32 for those that diffusers keeps in it."""
    return number_type(name, dtype)


def open_transformer(options: ModelOptions, dtype: torch.dtype | None) -> WanTransformer3DModel:
    """Return the frozen transformer on the host. dtype: None is the number type that most of its files are in.

    Nothing else of the model is looked at or fetched. Raises ModelError.
    """
    found = _found(options)
    return load_transformer(
        found, variant=options.variant, device=torch.device("cpu"), dtype=dtype or _most(_files(found, options))
    )


def stored_type(options: ModelOptions) -> torch.dtype:
    """Return the number type that most of the transformer's files are in. Raises ModelError."""
    return _most(_files(_found(options), options))


def base_fingerprint(options: ModelOptions) -> str:
    """Name the transformer by its content, as adapters trained on it do. Raises ModelError."""
    return name_of_content(_found(options), options.variant)


def _found(options: ModelOptions) -> Path | SingleFile:
    """Return the transformer's folder, or its one file. Raises ModelError for one of a kind that is not supported."""
    source, file = sources_of(options).transformer, single_file(options)
    if file is None:
        folder = component_folder(source, files="config.json")
        refuse_relatives(source.place, read_config(folder), read_layout(folder))
    return find_transformer(source, file, variant=options.variant)


def _files(found: Path | SingleFile, options: ModelOptions) -> list[Path]:
    return [found.path] if isinstance(found, SingleFile) else weight_files(found, options.variant)


def _most(files: Sequence[Path]) -> torch.dtype:
    counts: Counter[str] = Counter()
    for file in files:
        with safe_open(file, framework="np") as tensors:
            for part in map(tensors.get_slice, tensors.keys()):
                counts[part.get_dtype()] += prod(part.get_shape())
    return _TYPES.get(counts.most_common(1)[0][0], torch.bfloat16)
