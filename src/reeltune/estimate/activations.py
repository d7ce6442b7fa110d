"""What lives on the GPU beside weights while something is computed, in bytes for one sample.

The coefficients were found by following every allocation of the stock modules, eager, in bfloat16 (the autoencoder in
float32); the tests do so again. Letters: d width, f inner width of the feed-forward.
"""

from __future__ import annotations

from collections.abc import Mapping

from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.flops import Recomputation, Tokens, TrainedPart, recomputed_blocks, tokens_by_block

FLOAT32_BYTES = 4

PROMPT_BYTES = 250_000_000
"""Of a text encoder with 64 heads, for one prompt of 512 tokens; most of it are scores."""

_KEPT: Mapping[TrainedPart, tuple[int, int]] = {"adapter": (42, 4), "full": (68, 4)}
"""Bytes for each token and block without recomputation: so many d, so many f.

An adapter that leaves the feed-forward alone keeps less: 40 d and 2 f.
"""

_AT_WORK: Mapping[TrainedPart, tuple[int, int]] = {"adapter": (510, 68), "full": (730, 40)}
"""Tenths of bytes for each token of a block that is computed anew and differentiated: so many d, so many f.

For an adapter fused kernels would hold 30 d + 4 f bytes; separate norms, rotations and casts make it 1.7 times as much.
"""

_ENCODED, _ENCODED_PICTURE = 3520, 965
_DECODED, _DECODED_PICTURE = 4870, 1730
"""Float32 numbers alive at the peak for each pixel of the picture.

The autoencoder works on four frames at a time (a picture alone is one), and keeps two of each layer's input for the
next four.
"""


def saved_bytes(
    dimensions: Dimensions,
    tokens: Tokens,
    *,
    trained: TrainedPart = "adapter",
    recomputation: Recomputation = "full",
    every: int = 1,
) -> int:
    """Return what the forward pass leaves for the backward pass.

    Full recomputation keeps each block's input; selective the attention's result and the sums of its softmax as well.
    every: only each so-many-th block is recomputed, the first among them; the others keep all.
    """
    d, f = dimensions.width, dimensions.ffn
    of_d, of_f = _KEPT[trained]
    per_token = {"full": 2 * d, "selective": 4 * d + 4 * dimensions.heads, "none": of_d * d + of_f * f}
    by_block = tokens_by_block(dimensions, tokens)
    recomputed = sum(recomputed_blocks(by_block, every))
    return recomputed * per_token[recomputation] + (sum(by_block) - recomputed) * per_token["none"]


def live_block_bytes(
    dimensions: Dimensions, tokens: Tokens, *, trained: TrainedPart = "adapter", every: int = 1
) -> int:
    """Return what one block holds while it is computed anew and differentiated, gradients of weights left out."""
    most = max(recomputed_blocks(tokens_by_block(dimensions, tokens), every))
    of_d, of_f = _AT_WORK[trained]
    return most * (of_d * dimensions.width + of_f * dimensions.ffn) // 10


def forward_block_bytes(dimensions: Dimensions, tokens: int) -> int:
    """Return what one block holds when nothing is kept for a backward pass: at its attention or its feed-forward."""
    return tokens * max(22 * dimensions.width, 8 * dimensions.width + 4 * dimensions.ffn)


def encoded_clip_bytes(*, frames: int, height: int, width: int) -> int:
    """Return what the autoencoder holds while it encodes a clip, without tiling."""
    return _clip_bytes(_ENCODED if frames > 1 else _ENCODED_PICTURE, frames, height * width)


def decoded_clip_bytes(*, frames: int, height: int, width: int) -> int:
    """Return what the autoencoder holds while it decodes a clip, without tiling."""
    return _clip_bytes(_DECODED if frames > 1 else _DECODED_PICTURE, frames, height * width)


def _clip_bytes(alive: int, frames: int, pixels: int) -> int:
    # The clip itself, in three colours, comes on top of what is alive.
    return FLOAT32_BYTES * pixels * (alive + 3 * frames)
