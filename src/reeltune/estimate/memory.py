"""GPU memory by stage, in bytes. The stages follow each other, and each frees what the next does not use, but for
what is kept on purpose.

These are sums of what is in use at the peak; a caching allocator holds some more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.activations import (
    FLOAT32_BYTES,
    PROMPT_BYTES,
    decoded_clip_bytes,
    encoded_clip_bytes,
    forward_block_bytes,
    live_block_bytes,
    saved_bytes,
)
from reeltune.estimate.flops import Recomputation, Tokens
from reeltune.estimate.parameters import parameters, quantizable_parameters
from reeltune.estimate.sizes import TEXT_ENCODER_PARAMETERS, VIDEO_AUTOENCODER_PARAMETERS

CONTEXT_BYTES = 1_000_000_000
"""What the driver's context and the libraries' work space take before anything is computed."""

TRAINING_BYTES = 1_500_000_000
"""The same in training, with the embeddings, the head and the loss."""

AUTOENCODER_BYTES = FLOAT32_BYTES * VIDEO_AUTOENCODER_PARAMETERS
"""Of its weights, float32."""

Part = tuple[str, int]
"""What it is, and its bytes."""

Precision = Literal["float32", "16-bit", "8-bit"]
"""How the base is stored. In 8 bits only the blocks' linear weights are; the rest has 16."""


@dataclass(frozen=True)
class Amount:
    """What a stage needs at its peak, by part."""

    stage: str
    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.parts)


@dataclass(frozen=True)
class TrainedWeights:
    """What is trained, in float32, with its gradients. states, average: bytes for each weight."""

    parameters: int
    states: int = 8
    average: int = 0

    @property
    def size_bytes(self) -> int:
        return self.parameters * (2 * FLOAT32_BYTES + self.states + self.average)


def text_encoder_bytes(value_bytes: int) -> int:
    """Return the size of the text encoder's weights. value_bytes: of each."""
    return TEXT_ENCODER_PARAMETERS * value_bytes


def text_encoding(*, value_bytes: int = 2) -> Amount:
    """Return what encoding prompts, one at a time, needs. value_bytes: of each weight."""
    parts = (
        ("text encoder", text_encoder_bytes(value_bytes)),
        ("one prompt", PROMPT_BYTES),
        ("overhead", CONTEXT_BYTES),
    )
    return Amount("text encoding", parts)


def video_encoding(*, frames: int, height: int, width: int, kept: Sequence[Part] = ()) -> Amount:
    """Return what encoding a clip in float32 needs. kept: what earlier stages leave on the GPU."""
    parts = (
        ("autoencoder", AUTOENCODER_BYTES),
        *kept,
        ("frames at work", encoded_clip_bytes(frames=frames, height=height, width=width)),
        ("overhead", CONTEXT_BYTES),
    )
    return Amount("video encoding", parts)


def training(
    dimensions: Dimensions,
    tokens: Tokens,
    *,
    samples: int,
    precision: Precision,
    weights: TrainedWeights,
    recomputation: Recomputation = "full",
    kept: Sequence[Part] = (),
) -> Amount:
    """Return what a step of an adapter needs.

    samples: that go through the model together. kept: what earlier stages leave on the GPU.
    """
    saved = saved_bytes(dimensions, tokens, recomputation=recomputation)
    live = 0 if recomputation == "none" else live_block_bytes(dimensions, tokens)
    parts = (
        ("base model", base_bytes(dimensions, precision)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("saved activations", samples * saved),
        ("block at work", samples * live),
        *kept,
        ("overhead", TRAINING_BYTES),
    )
    return Amount("training", tuple(part for part in parts if part[1]))


def rendering(
    dimensions: Dimensions,
    tokens: int,
    *,
    precision: Precision,
    weights: TrainedWeights,
    frames: int,
    height: int,
    width: int,
    kept: Sequence[Part] = (),
) -> Amount:
    """Return what a validation video needs: all of training's weights stay, and the autoencoder is beside them.

    kept: what earlier stages leave on the GPU, the autoencoder not counted again.
    """
    block = forward_block_bytes(dimensions, tokens)
    decoding = decoded_clip_bytes(frames=frames, height=height, width=width)
    parts = (
        ("base model", base_bytes(dimensions, precision)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("autoencoder", AUTOENCODER_BYTES),
        *kept,
        # First the one, then the other.
        ("block or frames at work", max(block, decoding)),
        ("overhead", CONTEXT_BYTES),
    )
    return Amount("rendering", parts)


def base_bytes(dimensions: Dimensions, precision: Precision) -> int:
    """Return the size of the base's weights."""
    count = parameters(dimensions)
    in_8_bits = quantizable_parameters(dimensions) if precision == "8-bit" else 0
    return in_8_bits + (count - in_8_bits) * (FLOAT32_BYTES if precision == "float32" else 2)
