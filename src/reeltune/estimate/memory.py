"""GPU memory by stage, in bytes. The stages follow each other, and each frees what the next does not use.

These are sums of what is in use at the peak; a caching allocator holds some more.
"""

from __future__ import annotations

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
from reeltune.estimate.flops import Recomputation, Tokens, TrainedPart
from reeltune.estimate.parameters import parameters, quantizable_parameters
from reeltune.estimate.sizes import TEXT_ENCODER_PARAMETERS, VIDEO_AUTOENCODER_PARAMETERS

CONTEXT_BYTES = 1_000_000_000
"""What the driver's context and the libraries' work space take before anything is computed."""

TRAINING_BYTES = 1_500_000_000
"""The same in training, with the embeddings, the head and the loss."""

Precision = Literal["float32", "16-bit", "8-bit"]
"""How the base is stored. In 8 bits only the blocks' linear weights are; the rest has 16."""


@dataclass(frozen=True)
class Amount:
    """What a stage needs at its peak, by part."""

    stage: str
    parts: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.parts)


@dataclass(frozen=True)
class TrainedWeights:
    """Bytes for each trained weight. weight: of the float32 values that the optimizer moves.

    The base's own copy in its precision, where the base itself is trained, is not among them.
    """

    parameters: int
    weight: int = 4
    gradient: int = 4
    states: int = 8
    average: int = 0

    @property
    def size_bytes(self) -> int:
        return self.parameters * (self.weight + self.gradient + self.states + self.average)


def text_encoding(*, encoder_parameters: int = TEXT_ENCODER_PARAMETERS, value_bytes: int = 2) -> Amount:
    """Return what encoding prompts, one at a time, needs. value_bytes: of each weight."""
    parts = (
        ("text encoder", encoder_parameters * value_bytes),
        ("one prompt", PROMPT_BYTES),
        ("overhead", CONTEXT_BYTES),
    )
    return Amount("text encoding", parts)


def video_encoding(
    *, frames: int, height: int, width: int, autoencoder_parameters: int = VIDEO_AUTOENCODER_PARAMETERS
) -> Amount:
    """Return what encoding a clip in float32 needs."""
    parts = (
        ("autoencoder", autoencoder_parameters * FLOAT32_BYTES),
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
    trained: TrainedPart = "adapter",
    recomputation: Recomputation = "full",
) -> Amount:
    """Return what a step needs. samples: that go through the model together."""
    saved = saved_bytes(dimensions, tokens, trained=trained, recomputation=recomputation)
    live = 0 if recomputation == "none" else live_block_bytes(dimensions, tokens)
    parts = (
        ("base model", base_bytes(dimensions, precision)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("saved activations", samples * saved),
        ("block at work", samples * live),
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
    autoencoder_parameters: int = VIDEO_AUTOENCODER_PARAMETERS,
) -> Amount:
    """Return what a validation video needs: all of training's weights stay, and the autoencoder comes beside them."""
    block = forward_block_bytes(dimensions, tokens)
    decoding = decoded_clip_bytes(frames=frames, height=height, width=width)
    parts = (
        ("base model", base_bytes(dimensions, precision)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("autoencoder", autoencoder_parameters * FLOAT32_BYTES),
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
