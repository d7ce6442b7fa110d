"""Operations and least times in the outlook."""

from __future__ import annotations

from collections.abc import Iterator

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


def cost_outlook(basis: Basis, card: Gpu | None) -> Cost | None:
    """Return what steps and videos cost; None when the model's size is not known."""
    if basis.dimensions is None:
        return None
    known = gpu_named(card.name) if card else None
    usual = [GPUS[name] for name in USUAL]
    gpus = usual if known is None else [known, *(gpu for gpu in usual if gpu != known)]
    bounds = tuple(StepBound(gpu.name, _step_s(basis, gpu), _renders_s(basis, gpu)) for gpu in gpus)
    return Cost(
        step_tflop=sum(share * ops.total for share, ops in _micro_batches(basis)) * _accumulation(basis) / TERA,
        render_tflop=sum(ops.total for ops in _videos(basis)) / TERA,
        bounds=bounds,
        render_share=_render_share(basis, gpus[0]) if basis.rendering.videos else None,
    )


def _accumulation(basis: Basis) -> int:
    return basis.config.training.gradient_accumulation_steps


def _micro_batches(basis: Basis) -> Iterator[tuple[float, Operations]]:
    """Yield the operations of one sample of each bucket, and how many such samples the mean micro-batch has."""
    assert basis.dimensions
    for bucket, count in basis.samples.items():
        operations = step_operations(
            basis.dimensions, basis.tokens_by_block(bucket), recomputation=basis.recomputation
        )
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


def _renders_s(basis: Basis, gpu: GpuSpeed) -> float:
    return sum(lower_bound_s(operations, gpu) for operations in _videos(basis))


def _render_share(basis: Basis, gpu: GpuSpeed) -> float:
    """Return the videos' share of the time of the whole run; much the same on every GPU."""
    each = _renders_s(basis, gpu)
    videos = each * render_times(basis) + each / len(basis.rendering.shown) * basis.rendering.benchmark
    return videos / (videos + basis.plan.total_steps * _step_s(basis, gpu))
