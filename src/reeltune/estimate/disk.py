"""What is written to the disk, in bytes: cache entries and checkpoints. File headers are left out."""

from __future__ import annotations

import math

from reeltune.estimate.rare_work import times_due

FLOAT32_BYTES = 4

LAYOUTS = 2
"""For how many programs a checkpoint holds what is trained, beside its own form: diffusers and ComfyUI."""


def latent_entry_bytes(shape: tuple[int, int, int, int]) -> int:
    """Return the size of an encoded clip of shape (C, T, h, w), float32."""
    return FLOAT32_BYTES * math.prod(shape)


def text_entry_bytes(tokens: int, width: int, *, value_bytes: int = 2) -> int:
    """Return the size of an encoded prompt: only the tokens that it has are stored."""
    return tokens * width * value_bytes


def checkpoint_bytes(
    trained_parameters: int, *, state_bytes: int, averaged: bool, published_bytes: int = FLOAT32_BYTES
) -> int:
    """Return the size of a checkpoint.

    state_bytes: of the optimizer, for each trained weight. averaged: the moving average is kept as well.
    published_bytes: of a weight in the files for other programs.
    """
    kinds = 2 if averaged else 1
    return trained_parameters * (kinds * (FLOAT32_BYTES + LAYOUTS * published_bytes) + state_bytes)


def checkpoints_to_come(total: int, *, done: int, every: int, limit: int, there: int) -> int:
    """Return for how many more checkpoints there must be room, at most at once.

    total, done, every: steps of the run, steps that it goes on from, and those between checkpoints. limit: that are
    kept. there: how many lie there now.
    """
    # One more than are kept: the oldest goes when the newest stands.
    return min(times_due(every, total, done=done), max(1, limit + 1 - there))
