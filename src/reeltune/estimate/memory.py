"""GPU memory by stage, in bytes. The stages follow each other, and each frees what the next does not use, but for
what is kept on purpose.

These are sums of what is in use at the peak; a caching allocator holds some more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from reeltune.estimate.parameters import block_linears, parameters, quantizable_parameters
from reeltune.estimate.sizes import TEXT_ENCODER_PARAMETERS, VIDEO_AUTOENCODER_PARAMETERS

CONTEXT_BYTES = 1_000_000_000
"""What the driver's context and the libraries' work space take before anything is computed."""

TRAINING_BYTES = 1_500_000_000
"""The same in training, with the embeddings, the head and the loss."""

TEXT_TABLE_PARAMETERS = 256_384 * 4096
"""Of the text encoder's vocabulary, which is no linear layer and is never quantized."""

AUTOENCODER_BYTES = FLOAT32_BYTES * VIDEO_AUTOENCODER_PARAMETERS
"""Of its weights, float32."""

Part = tuple[str, int]
"""What it is, and its bytes."""

NO_CHANGE = "no_change"
"""The precision of weights that are not quantized."""

_ROW_BYTES: Mapping[str, int] = {"int8-torchao": 5, "fp8-torchao": 4}
"""What a quantized weight keeps for each of its rows: a scale in float32, and with int8-torchao a zero point.

Optimum-quanto keeps a scale in the type that the weight had.
"""


@dataclass(frozen=True)
class Storage:
    """How a model's weights are stored. value_bytes: of what is not quantized. precision: of what is."""

    value_bytes: int = 2
    precision: str = NO_CHANGE


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
    """What is trained, in float32, with its gradients. states, average: bytes for each weight.

    in_base: how many of them are the base model's own float32 numbers, which count there. gradients: how many of them
    have a gradient at a time, where that is not all.
    """

    parameters: int
    states: int = 8
    average: int = 0
    in_base: int = 0
    gradients: int | None = None

    @property
    def size_bytes(self) -> int:
        gradients = self.parameters if self.gradients is None else self.gradients
        kept = self.parameters * (self.states + self.average)
        return kept + FLOAT32_BYTES * (gradients + self.parameters - self.in_base)


def whole_model(dimensions: Dimensions, *, value_bytes: int, states: int = 8, average: int = 0) -> TrainedWeights:
    """Return what training the whole model takes beside it: a float32 copy of what is not float32 already."""
    count = parameters(dimensions)
    in_base = count if value_bytes == FLOAT32_BYTES else float32_parameters(dimensions)
    return TrainedWeights(count, states, average, in_base)


def text_encoder_bytes(storage: Storage) -> int:
    """Return the size of the text encoder's weights; the scales of quantized rows, a thousandth, are left out."""
    table = TEXT_TABLE_PARAMETERS * storage.value_bytes
    value_bytes = storage.value_bytes if storage.precision == NO_CHANGE else 1
    return table + (TEXT_ENCODER_PARAMETERS - TEXT_TABLE_PARAMETERS) * value_bytes


def text_encoding(storage: Storage = Storage()) -> Amount:
    """Return what encoding prompts, one at a time, needs."""
    parts = (
        ("text encoder", text_encoder_bytes(storage)),
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
    weights: TrainedWeights,
    storage: Storage = Storage(),
    trained: TrainedPart = "adapter",
    recomputation: Recomputation = "full",
    every: int = 1,
    rebuilt: int = 0,
    kept: Sequence[Part] = (),
) -> Amount:
    """Return what a step needs.

    samples: that go through the model together. storage: of the base. every: see `saved_bytes`. rebuilt: bytes that an
    adapter holds of weights while it works. kept: what earlier stages leave on the GPU.
    """
    saved = saved_bytes(dimensions, tokens, trained=trained, recomputation=recomputation, every=every)
    live = 0 if recomputation == "none" else live_block_bytes(dimensions, tokens, trained=trained, every=every)
    parts = (
        ("base model", base_bytes(dimensions, storage)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("saved activations", samples * saved),
        ("block at work", samples * live),
        ("weights that the adapter rebuilds", rebuilt),
        *kept,
        ("overhead", TRAINING_BYTES),
    )
    return Amount("training", tuple(part for part in parts if part[1]))


def rendering(
    dimensions: Dimensions,
    tokens: int,
    *,
    weights: TrainedWeights,
    frames: int,
    height: int,
    width: int,
    storage: Storage = Storage(),
    kept: Sequence[Part] = (),
) -> Amount:
    """Return what a validation video needs: all of training's weights stay, and the autoencoder is beside them.

    kept: what earlier stages leave on the GPU, the autoencoder not counted again.
    """
    block = forward_block_bytes(dimensions, tokens)
    decoding = decoded_clip_bytes(frames=frames, height=height, width=width)
    parts = (
        ("base model", base_bytes(dimensions, storage)),
        ("trained weights, gradients, optimizer", weights.size_bytes),
        ("autoencoder", AUTOENCODER_BYTES),
        *kept,
        # First the one, then the other.
        ("block or frames at work", max(block, decoding)),
        ("overhead", CONTEXT_BYTES),
    )
    return Amount("rendering", parts)


def base_bytes(dimensions: Dimensions, storage: Storage = Storage()) -> int:
    """Return the size of the base's weights, to the byte but for optimum-quanto's two unused numbers a layer."""
    count, in_float32 = parameters(dimensions), float32_parameters(dimensions)
    quantized = 0 if storage.precision == NO_CHANGE else quantizable_parameters(dimensions)
    rest = FLOAT32_BYTES * in_float32 + storage.value_bytes * (count - in_float32 - quantized)
    return rest + (_quantized_bytes(dimensions, storage) if quantized else 0)


def float32_parameters(dimensions: Dimensions) -> int:
    """Return how many of the base's weights are float32 whatever the others are: time embedding, norms, modulation."""
    d = dimensions.width
    time_embedding = (dimensions.time_width + 1) * d + (d + 1) * d
    # The norm before cross-attention and the table of modulation.
    return time_embedding + dimensions.layers * (2 + 6) * d + 2 * d


def _quantized_bytes(dimensions: Dimensions, storage: Storage) -> int:
    rows = dimensions.layers * sum(outputs for _, outputs in block_linears(dimensions).values())
    return quantizable_parameters(dimensions) + rows * _ROW_BYTES.get(storage.precision, storage.value_bytes)
