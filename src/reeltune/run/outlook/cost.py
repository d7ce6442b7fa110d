"""Operations and least times in the outlook."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from reeltune.contracts.outlook import Cost, StepBound
from reeltune.estimate.flops import Operations, forward_operations, step_operations
from reeltune.estimate.gpus import GPUS, GpuSpeed, gpu_named
from reeltune.estimate.time import lower_bound_s
from reeltune.machine.gpu import Gpu
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.course import render_times

USUAL = ("H100 80GB HBM3", "RTX 4090")
"""GPUs that are named whatever this machine has."""

TERA = 1e12


@dataclass(frozen=True)
class RunTime:
    """The least seconds of a run: all its steps, one time of videos, and those of the bare base model."""

    steps_s: float
    videos_s: float
    base_s: float

    def share(self, times: int) -> float:
        """Return the share of the whole that videos take when they are made so many times."""
        videos_s = self.videos_s * times + self.base_s
        return videos_s / (videos_s + self.steps_s)

    def most_times(self, share: float) -> int:
        """Return how many times videos can be made within a share of the whole."""
        return max(0, math.floor((self.steps_s * share / (1 - share) - self.base_s) / self.videos_s))


def cost_outlook(basis: Basis, card: Gpu | None) -> Cost | None:
    """Return what steps and videos cost; None when the model's size is not known."""
    if basis.dimensions is None:
        return None
    bounds = tuple(StepBound(gpu.name, _step_s(basis, gpu), _videos_s(basis, gpu)) for gpu in gpus_told(card))
    return Cost(
        step_tflop=sum(share * ops.total for share, ops in _micro_batches(basis)) * _accumulation(basis) / TERA,
        render_tflop=sum(ops.total for ops in _videos(basis)) / TERA,
        bounds=bounds,
        render_share=run_time(basis, card).share(render_times(basis)) if basis.rendering.videos else None,
    )


def gpus_told(card: Gpu | None) -> list[GpuSpeed]:
    """Return the GPUs that times are told for: this machine's, where it is a known one, and the usual."""
    known = gpu_named(card.name) if card else None
    usual = [GPUS[name] for name in USUAL]
    return usual if known is None else [known, *(gpu for gpu in usual if gpu != known)]


def run_time(basis: Basis, card: Gpu | None) -> RunTime:
    """Return the run's time on the first of these GPUs. The model's size must be known, and videos be made."""
    gpu = gpus_told(card)[0]
    videos_s = _videos_s(basis, gpu)
    base_s = videos_s / len(basis.rendering.shown) * basis.rendering.benchmark
    return RunTime(basis.plan.total_steps * _step_s(basis, gpu), videos_s, base_s)


def _accumulation(basis: Basis) -> int:
    return basis.config.training.gradient_accumulation_steps


def _micro_batches(basis: Basis) -> Iterator[tuple[float, Operations]]:
    """Yield the operations of one sample of each bucket, and how many such samples the mean micro-batch has."""
    assert basis.dimensions
    for bucket, count in basis.samples.items():
        operations = step_operations(basis.dimensions, basis.tokens_by_block(bucket), recomputation=basis.recomputation)
        yield count / basis.plan.batches_per_epoch, operations


def _videos(basis: Basis) -> Iterator[Operations]:
    """Yield the operations of each video file of one time, the autoencoder's left out."""
    assert basis.dimensions
    geometry, plan = basis.facts.geometry, basis.rendering
    for video in plan.videos:
        tokens = geometry.tokens(frames=plan.frames, height=video.height, width=video.width)
        once = forward_operations(basis.dimensions, tokens)
        passes = plan.passes * len(plan.shown)
        yield Operations(once.linear * passes, once.attention_forward * passes)


def _step_s(basis: Basis, gpu: GpuSpeed) -> float:
    return _accumulation(basis) * sum(share * lower_bound_s(ops, gpu) for share, ops in _micro_batches(basis))


def _videos_s(basis: Basis, gpu: GpuSpeed) -> float:
    return math.fsum(lower_bound_s(operations, gpu) for operations in _videos(basis))
