"""GPU memory in the outlook."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.contracts.clip import Bucket
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.outlook import MemoryNeed
from reeltune.estimate import memory
from reeltune.estimate.memory import Amount, Precision, TrainedWeights
from reeltune.estimate.optimizers import state_bytes
from reeltune.run.outlook.basis import Basis

KNOWN_TEXT_WIDTH = 4096
"""Of the released models' text encoder. A model that reads other texts has encoders whose size is not known here."""


def memory_outlook(basis: Basis) -> tuple[MemoryNeed, ...]:
    """Return the GPU memory of each stage, for the largest bucket; nothing when the model's size is not known."""
    if basis.dimensions is None:
        return ()
    return tuple(MemoryNeed(one.stage, one.size_bytes, one.parts) for one in _amounts(basis, basis.dimensions))


def _amounts(basis: Basis, size: Dimensions) -> Iterator[Amount]:
    bucket, encoders_known = basis.largest, size.text_width == KNOWN_TEXT_WIDTH
    if encoders_known:
        yield memory.text_encoding(value_bytes=_text_encoder_bytes(basis))
        yield memory.video_encoding(frames=bucket.frames, height=bucket.height, width=bucket.width)
    yield _training(basis, size, bucket)
    if encoders_known and basis.rendering.videos:
        yield _rendering(basis, size)


def _training(basis: Basis, size: Dimensions, bucket: Bucket) -> Amount:
    return memory.training(
        size,
        basis.tokens_by_block(bucket),
        samples=basis.config.training.train_batch_size,
        precision=_precision(basis),
        weights=_weights(basis),
        recomputation=basis.recomputation,
    )


def _rendering(basis: Basis, size: Dimensions) -> Amount:
    frames = basis.rendering.frames
    video = max(basis.rendering.videos, key=lambda video: video.width * video.height)
    return memory.rendering(
        size,
        basis.facts.geometry.tokens(frames=frames, height=video.height, width=video.width),
        precision=_precision(basis),
        weights=_weights(basis),
        frames=frames,
        height=video.height,
        width=video.width,
    )


def _text_encoder_bytes(basis: Basis) -> int:
    """Return the bytes of each of its weights."""
    if basis.config.model.text_encoder_1_precision != "no_change":
        return 1
    return basis.value_bytes


def _precision(basis: Basis) -> Precision:
    if basis.config.model.base_model_precision != "no_change":
        return "8-bit"
    return "16-bit" if basis.value_bytes == 2 else "float32"


def _weights(basis: Basis) -> TrainedWeights:
    training = basis.config.training
    return TrainedWeights(
        basis.trained_parameters or 0, states=state_bytes(training.optimizer), average=4 if training.use_ema else 0
    )
