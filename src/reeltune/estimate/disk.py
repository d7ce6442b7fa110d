"""What lies on the disk afterwards, in bytes: cache entries, adapters, checkpoints. File headers are left out."""

from __future__ import annotations

import math

FLOAT32_BYTES = 4


def latent_entry_bytes(shape: tuple[int, int, int, int]) -> int:
    """Return the size of an encoded clip of shape (C, T, h, w), float32."""
    return FLOAT32_BYTES * math.prod(shape)


def text_entry_bytes(tokens: int, width: int, *, value_bytes: int = 2) -> int:
    """Return the size of an encoded prompt: only the tokens that it has are stored."""
    return tokens * width * value_bytes


def adapter_bytes(trained_parameters: int) -> int:
    """Return the size of an adapter file, float32."""
    return FLOAT32_BYTES * trained_parameters


def checkpoint_bytes(trained_parameters: int, *, state_bytes: int, averaged: bool, layouts: int = 2) -> int:
    """Return the size of a checkpoint.

    state_bytes: of the optimizer, for each trained weight. averaged: the moving average is kept as well.
    layouts: in how many forms the adapter is written for others; each form also holds the average.
    """
    kinds = 2 if averaged else 1
    return kinds * (1 + layouts) * adapter_bytes(trained_parameters) + state_bytes * trained_parameters
