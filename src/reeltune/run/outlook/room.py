"""Disk and GPU memory in the outlook, and what is trained, which both follow from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reeltune.contracts.clip import samples_of
from reeltune.contracts.outlook import DiskNeed, MemoryNeed, Trained
from reeltune.estimate import memory
from reeltune.estimate.disk import checkpoint_bytes, latent_entry_bytes, text_entry_bytes
from reeltune.estimate.memory import Amount, Precision, TrainedWeights
from reeltune.estimate.optimizers import state_bytes
from reeltune.estimate.parameters import lora_modules, lora_parameters, parameters, quantizable_parameters
from reeltune.machine.host import free_bytes, nearest_existing
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import recomputation
from reeltune.run.rendering_plan import prompts_to_encode

CHARACTERS_PER_TOKEN = 4
"""Of a caption, about."""

TEXT_WIDTH = 4096


def trained_outlook(basis: Basis) -> Trained:
    """Return what is trained on what."""
    config, size = basis.config, basis.dimensions
    targets, rank = basis.facts.adapter_targets, config.adapter.lora_rank
    training, alpha = config.training, config.adapter.lora_alpha
    average = f"every {training.ema_update_interval} steps" if training.ema_update_interval > 1 else "every step"
    return Trained(
        kind=f"LoRA, rank {rank}, alpha {rank if alpha is None else alpha:g}",
        modules=lora_modules(size, targets) if size else None,
        parameters=_trained_parameters(basis),
        base=config.model.base_model,
        base_parameters=parameters(size) if size else None,
        precision={"bf16": "bf16, with the LoRA in float32", "no": "float32"}[config.model.compute_type],
        quantized=_quantized(basis),
        optimizer=f"{training.optimizer}, learning rate {training.learning_rate:g}",
        average=f"EMA, decay up to {training.ema_decay:g}, updated {average}" if training.use_ema else "",
    )


def disk_outlook(basis: Basis) -> tuple[DiskNeed, ...]:
    """Return what is still to be written, by folder."""
    needs = [*_clips(basis), _captions(basis), *_checkpoints(basis)]
    # Once for each disk: measured twice, one disk would look like two.
    free: dict[int, int] = {}
    for _, folder, _ in needs:
        free.setdefault(_disk(folder), free_bytes(folder))
    return tuple(
        DiskNeed(what, str(folder), max(0, size - _present(folder)), free[_disk(folder)])
        for what, folder, size in needs
    )


def memory_outlook(basis: Basis) -> tuple[MemoryNeed, ...]:
    """Return the GPU memory of each stage, for the largest bucket; nothing when the model's size is not known."""
    if basis.dimensions is None:
        return ()
    return tuple(MemoryNeed(one.stage, one.size_bytes, one.parts) for one in _amounts(basis))


def _amounts(basis: Basis) -> Iterator[Amount]:
    size, bucket = basis.dimensions, basis.largest
    assert size
    model, plan = basis.config.model, basis.rendering
    precision, weights = _precision(basis), _weights(basis)
    wide = 2 if model.compute_type == "bf16" else 4
    yield memory.text_encoding(value_bytes=wide if model.text_encoder_1_precision == "no_change" else 1)
    yield memory.video_encoding(frames=bucket.frames, height=bucket.height, width=bucket.width)
    yield memory.training(
        size,
        basis.tokens_by_block(bucket),
        samples=basis.config.training.train_batch_size,
        precision=precision,
        weights=weights,
        recomputation=recomputation(basis),
    )
    if plan.videos:
        video = max(plan.videos, key=lambda video: video.width * video.height)
        yield memory.rendering(
            size,
            basis.facts.geometry.tokens(frames=plan.frames, height=video.height, width=video.width),
            precision=precision,
            weights=weights,
            frames=plan.frames,
            height=video.height,
            width=video.width,
        )


def _precision(basis: Basis) -> Precision:
    if basis.config.model.base_model_precision != "no_change":
        return "8-bit"
    return "16-bit" if basis.config.model.mixed_precision == "bf16" else "float32"


def _weights(basis: Basis) -> TrainedWeights:
    training = basis.config.training
    return TrainedWeights(
        _trained_parameters(basis) or 0, states=state_bytes(training.optimizer), average=4 if training.use_ema else 0
    )


def _trained_parameters(basis: Basis) -> int | None:
    if basis.dimensions is None:
        return None
    return lora_parameters(basis.dimensions, rank=basis.config.adapter.lora_rank, targets=basis.facts.adapter_targets)


def _quantized(basis: Basis) -> str:
    precision = basis.config.model.base_model_precision
    if precision == "no_change":
        return ""
    share = ""
    if basis.dimensions:
        share = f" ({quantizable_parameters(basis.dimensions) / parameters(basis.dimensions):.0%} of the weights)"
    return f"attention and feed-forward weights of all blocks, {precision}{share}"


def _clips(basis: Basis) -> Iterator[tuple[str, Path, int]]:
    for dataset in basis.datasets.clips:
        buckets = [
            sample.placement.bucket for sample in samples_of(basis.manifest.rows) if sample.dataset_id == dataset.id
        ]
        shapes = [
            basis.facts.geometry.latent_shape(frames=one.frames, height=one.height, width=one.width) for one in buckets
        ]
        yield "encoded clips", Path(dataset.cache_dir_vae).expanduser(), sum(map(latent_entry_bytes, shapes))


def _captions(basis: Basis) -> tuple[str, Path, int]:
    captions = {caption for sample in samples_of(basis.manifest.rows) for caption in sample.captions}
    texts = captions | set(prompts_to_encode(basis.config))
    longest = basis.facts.text_length
    tokens = sum(min(longest, 2 + len(text) // CHARACTERS_PER_TOKEN) for text in texts)
    width = basis.dimensions.text_width if basis.dimensions else TEXT_WIDTH
    return "encoded captions", Path(basis.datasets.text.cache_dir).expanduser(), text_entry_bytes(tokens, width)


def _checkpoints(basis: Basis) -> Iterator[tuple[str, Path, int]]:
    count = _trained_parameters(basis)
    if count is None:
        return
    reporting, training = basis.config.reporting, basis.config.training
    one = checkpoint_bytes(count, state_bytes=state_bytes(training.optimizer), averaged=training.use_ema)
    every = reporting.checkpointing_steps
    saved = max(1, basis.plan.total_steps // every) if every else 1
    # One more than are kept: the oldest goes when the newest stands.
    kept = min(saved, reporting.checkpoints_total_limit + 1)
    yield f"{kept} checkpoint{'s' * (kept > 1)}", reporting.run_folder, one * kept


def _disk(folder: Path) -> int:
    return nearest_existing(folder).stat().st_dev


def _present(folder: Path) -> int:
    """Return the bytes of what is in a folder already."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
