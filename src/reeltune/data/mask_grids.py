"""Masks as numbers on the grid of the latents, and the tokens that they make indispensable.

A mask is averaged over the pixels and frames that a place of the latents stands for: 8x8 pixels, the first frame alone
and then groups of 4, as the geometry says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from reeltune.contracts.clip import Mask, Placement
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.decode import decode

COUNTS = 0.5
"""Where a mask is above this, what is there counts: its tokens are never dropped."""


def read_mask(mask: Mask, placement: Placement, geometry: LatentGeometry) -> Float[Tensor, "T h w"]:
    """Return how much each place of a placed clip's latents counts, float32, 0 to 1. placement: the clip's own.

    Raises UnreadableFile where the file breaks.
    """
    if not mask.still:
        # Bilinear: it never overshoots, so white stays white up to an edge and black black.
        return on_grid(decode(mask.file.path, placement, resampling=Image.Resampling.BILINEAR), geometry)
    frame = replace(placement, bucket=replace(placement.bucket, frames=1), frame_indices=(0,))
    grid = on_grid(decode(mask.file.path, frame, resampling=Image.Resampling.BILINEAR), geometry)
    return grid.expand(geometry.shape_of(placement.bucket)[1], -1, -1).contiguous()


def on_grid(frames: np.ndarray, geometry: LatentGeometry) -> Float[Tensor, "T h w"]:
    """Return means over the pixels, channels and frames of each place, as shares of white. frames: uint8 (F, H, W, 3).

    Sums are whole numbers, so that white is exactly 1 and black exactly 0.
    """
    count, height, width, channels = frames.shape
    side = geometry.spatial
    blocks = frames.reshape(count, height // side, side, width // side, side, channels)
    sums = blocks.sum(axis=(2, 4, 5), dtype=np.int64)
    most = 255 * channels * side * side
    first, rest = sums[:1], sums[1:].reshape(-1, geometry.temporal, *sums.shape[1:]).sum(axis=1)
    shares = np.concatenate([first / most, rest / (most * geometry.temporal)])
    return torch.from_numpy(shares.astype(np.float32))


def tokens_that_count(mask: Float[Tensor, "T h w"], patch: tuple[int, int, int]) -> Bool[Tensor, " N"]:
    """Tell of each token, in the order of the sequence, whether anything in its patch counts. patch: frames, h, w."""
    along_t, along_h, along_w = patch
    frames, height, width = mask.shape
    patches = mask.reshape(frames // along_t, along_t, height // along_h, along_h, width // along_w, along_w)
    return (patches.amax((1, 3, 5)) > COUNTS).flatten()


def stacked(parts: Sequence[Tensor | None], otherwise: float) -> Tensor | None:
    """Stack what the samples of a batch have, `otherwise` in place of what one lacks; None where all lack it."""
    there = next((part for part in parts if part is not None), None)
    if there is None:
        return None
    return torch.stack([torch.full_like(there, otherwise) if part is None else part for part in parts])
