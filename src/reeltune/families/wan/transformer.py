"""Wan's transformer: the diffusers class, filled from its files without a second copy in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel

from reeltune.families.loading import frozen, read_config, reported_loading
from reeltune.families.weights import read_tensors

_KEPT_IN_FLOAT32 = frozenset(WanTransformer3DModel._keep_in_fp32_modules or ())


def load_transformer(folder: Path, *, device: torch.device, dtype: torch.dtype) -> WanTransformer3DModel:
    """Return the frozen transformer on the device, equal to what `from_pretrained` gives.

    dtype: of all but the parts that diffusers keeps in float32. Raises ModelError.
    """
    # `from_pretrained` keeps views of the files for parts whose number type does not change. On the host one such part
    # keeps a whole file mapped, so that a float32 checkpoint stays in memory beside its bfloat16 copy.
    with reported_loading("transformer", folder):
        with init_empty_weights():
            transformer = WanTransformer3DModel.from_config(read_config(folder))
        assert isinstance(transformer, WanTransformer3DModel)
        read_tensors(transformer, folder, device=device, number_type=lambda name: number_type(name, dtype))
    # What is in no file, the tables of the rotary embedding, follows.
    return frozen(transformer, device)


def number_type(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type of a parameter on a base of `dtype`: float32 for the parts that diffusers keeps in it."""
    return torch.float32 if _KEPT_IN_FLOAT32.intersection(name.split(".")) else dtype
