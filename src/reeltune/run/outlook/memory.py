"""GPU memory in the outlook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from reeltune.config.optimizer_checks import settings_of
from reeltune.config.root import Config
from reeltune.contracts.clip import Bucket
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.outlook import MemoryNeed
from reeltune.estimate import memory
from reeltune.estimate.memory import Amount, Part, Storage, TrainedWeights
from reeltune.estimate.optimizers import state_bytes
from reeltune.estimate.parameters import largest_tensor
from reeltune.estimate.rebuilt import rebuilt_bytes
from reeltune.run.outlook.basis import Basis
from reeltune.run.trained_layers import lycoris_among

KNOWN_TEXT_WIDTH = 4096
"""Of the released models' text encoder. A model that reads other texts has encoders whose size is not known here."""

LESS: Mapping[str, tuple[str, ...]] = {
    "text encoding": ("text_encoder_1_precision=int8-quanto",),
    "video encoding": ("offload_during_startup=true", "resolution", "video.num_frames"),
    "training": (
        "offload_during_startup=true",
        "gradient_checkpointing=true",
        "gradient_checkpointing_interval=1",
        "train_batch_size",
        "resolution",
        "video.num_frames",
        "base_model_precision=int8-quanto",
    ),
    "rendering": (
        "offload_during_startup=true",
        "validation_resolution",
        "validation_num_video_frames",
        "base_model_precision=int8-quanto",
    ),
}
"""What makes a stage need less memory."""

DONE: Mapping[str, Callable[[Config], bool]] = {
    "offload_during_startup=true": lambda config: config.model.offload_during_startup,
    "gradient_checkpointing=true": lambda config: config.training.gradient_checkpointing,
    "gradient_checkpointing_interval=1": lambda config: (
        config.training.gradient_checkpointing_interval == 1 or not config.training.gradient_checkpointing
    ),
    "train_batch_size": lambda config: config.training.train_batch_size == 1,
    "base_model_precision=int8-quanto": lambda config: config.model.base_model_precision != "no_change",
    "text_encoder_1_precision=int8-quanto": lambda config: config.model.text_encoder_1_precision != "no_change",
}
"""Whether a run does so already."""


def memory_outlook(basis: Basis) -> tuple[MemoryNeed, ...]:
    """Return the GPU memory of each stage, for the largest bucket; nothing when the model's size is not known."""
    if basis.dimensions is None:
        return ()
    return tuple(
        MemoryNeed(one.stage, one.size_bytes, one.parts, _less(one.stage, basis.config))
        for one in _amounts(basis, basis.dimensions)
    )


def _less(stage: str, config: Config) -> str:
    return ", ".join(words for words in LESS[stage] if words not in DONE or not DONE[words](config))


def _amounts(basis: Basis, size: Dimensions) -> Iterator[Amount]:
    bucket, text_encoder = basis.largest, memory.text_encoder_bytes(_text_storage(basis))
    encoders_known = size.text_width == KNOWN_TEXT_WIDTH
    stay = encoders_known and not basis.config.model.offload_during_startup
    kept: tuple[Part, ...] = (("text encoder kept", text_encoder),) if stay else ()
    autoencoder: tuple[Part, ...] = (("autoencoder kept", memory.AUTOENCODER_BYTES),) if stay else ()
    if encoders_known:
        yield memory.text_encoding(_text_storage(basis))
        yield memory.video_encoding(frames=bucket.frames, height=bucket.height, width=bucket.width, kept=kept)
    yield _training(basis, size, bucket, kept=kept + autoencoder)
    if encoders_known and basis.rendering.videos:
        yield _rendering(basis, size, kept=kept)


def _training(basis: Basis, size: Dimensions, bucket: Bucket, *, kept: tuple[Part, ...]) -> Amount:
    return memory.training(
        size,
        basis.tokens_by_block(bucket),
        samples=basis.config.training.train_batch_size,
        weights=_weights(basis, size),
        storage=_storage(basis),
        trained=basis.trained_part,
        recomputation=basis.recomputation,
        every=basis.recomputed_every,
        rebuilt=_rebuilt(basis),
        kept=kept,
    )


def _rendering(basis: Basis, size: Dimensions, *, kept: tuple[Part, ...]) -> Amount:
    largest = max(basis.rendered, key=lambda bucket: bucket.width * bucket.height)
    return memory.rendering(
        size,
        basis.tokens(largest),
        weights=_weights(basis, size),
        storage=_storage(basis),
        frames=largest.frames,
        height=largest.height,
        width=largest.width,
        kept=kept,
    )


def _storage(basis: Basis) -> Storage:
    return Storage(basis.value_bytes, basis.config.model.base_model_precision)


def _text_storage(basis: Basis) -> Storage:
    return Storage(basis.value_bytes, basis.config.model.text_encoder_1_precision)


def _weights(basis: Basis, size: Dimensions) -> TrainedWeights:
    chosen, average = basis.config.optimization, _average_bytes(basis.config)
    states = state_bytes(chosen.optimizer, settings_of(chosen))
    if basis.trained_part == "full":
        whole = memory.whole_model(size, value_bytes=basis.value_bytes, states=states, average=average)
        return replace(whole, gradients=largest_tensor(size)) if chosen.optimizer_release_gradients else whole
    return TrainedWeights(basis.trained_parameters or 0, states, average)


def _average_bytes(config: Config) -> int:
    """Return what the moving average takes of the GPU for each weight."""
    return 4 if config.average.use_ema and config.average.ema_device == "accelerator" else 0


def _rebuilt(basis: Basis) -> int:
    if basis.trained_part == "full" or basis.config.adapter.lora_type == "standard":
        return 0
    chosen = lycoris_among(basis.config, basis.base_layers, basis.facts)
    return rebuilt_bytes(chosen, recomputed=basis.recomputation != "none", every=basis.recomputed_every)
