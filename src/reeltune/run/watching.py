"""What a run tells of its steps: put together from the model's size, the device, and what is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from reeltune.adapters.change_size import sizes_by_block
from reeltune.adapters.lora import Lora
from reeltune.adapters.lycoris import Lycoris
from reeltune.config.root import Config
from reeltune.contracts.batch import Batch
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.facts import Facts
from reeltune.contracts.trained import Trained
from reeltune.estimate.flops import TrainedPart, forward_operations, model_operations
from reeltune.estimate.gpus import gpu_named
from reeltune.families import family_dimensions
from reeltune.machine.host import resident_bytes
from reeltune.routing.plan import Segment, tokens_per_block
from reeltune.run.plan import segments_of
from reeltune.train.schedule import Every
from reeltune.train.watch import ChangeSizes, Watch


def make_watch(
    config: Config, facts: Facts, *, trained: Trained, transformer: nn.Module, device: torch.device
) -> Watch:
    """Return what is looked at in the steps of a run."""
    size = family_dimensions(config.model)
    return Watch(
        change_sizes=_change_sizes(trained, transformer, facts.blocks),
        sizes_due=Every(config.reporting.weight_change_interval),
        operations=_operations(config, facts, size) if size else None,
        peak=_peak(device),
        memory=functools.partial(memory_since_last, device),
    )


def memory_since_last(device: torch.device) -> int:
    """Return the most bytes that were allocated on a GPU since this was last asked; on the CPU those in use now."""
    if device.type != "cuda":
        return resident_bytes()
    most = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return most


def operations_of(
    batch: Batch, *, facts: Facts, size: Dimensions, segments: tuple[Segment, ...], trained: TrainedPart
) -> int:
    """Return the operations that the model needs for a micro-batch, nothing computed twice; the base's answers too."""
    tokens = tokens_per_block(segments, size.layers, facts.geometry.tokens_of(batch.bucket))
    asked_first = forward_operations(size, tokens).total if batch.prior else 0
    return batch.size * (model_operations(size, tokens, trained=trained).total + asked_first)


def _change_sizes(trained: Trained, transformer: nn.Module, blocks: str) -> ChangeSizes | None:
    """Return None for a whole model: where it started from is not kept."""
    if not isinstance(trained, Lora | Lycoris):
        return None
    return lambda: sizes_by_block(trained.changes(), transformer, blocks)


def _operations(config: Config, facts: Facts, size: Dimensions) -> Callable[[Batch], int]:
    part: TrainedPart = "full" if config.model.model_type == "full" else "adapter"
    segments = segments_of(config, size.layers)
    return functools.partial(operations_of, facts=facts, size=size, segments=segments, trained=part)


def _peak(device: torch.device) -> float | None:
    known = gpu_named(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return known.peak if known else None
