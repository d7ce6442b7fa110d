"""Operations and least times in the outlook."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reeltune.contracts.outlook import Cost, StepBound
from reeltune.estimate.flops import Operations, forward_operations, step_operations
from reeltune.estimate.gpus import GPUS, GpuSpeed, gpu_named
from reeltune.estimate.time import lower_bound_s
from reeltune.machine.gpu import Gpu
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.course import render_times
from reeltune.run.outlook.evaluation import evaluation_times, passes_by_bucket

USUAL = ("H100 80GB HBM3", "RTX 4090")
"""GPUs that are named whatever this machine has."""

TERA = 1e12


@dataclass(frozen=True)
class RunTime:
    """The least seconds of what a run does.

    steps_s, measurements_s: of all of them. videos_s: of one time. base_s: of the bare base model's videos.
    """

    steps_s: float
    measurements_s: float
    videos_s: float
    base_s: float

    def whole_s(self, times: int) -> float:
        """Return the seconds of the run when videos are made so many times."""
        return self.steps_s + self.measurements_s + self.base_s + self.videos_s * times

    def share(self, times: int) -> float:
        """Return the share of the whole that videos take when they are made so many times."""
        return (self.videos_s * times + self.base_s) / self.whole_s(times)

    def most_times(self, share: float) -> int:
        """Return how many times videos can be made within a share of the whole."""
        others_s = self.steps_s + self.measurements_s
        return max(0, math.floor((others_s * share / (1 - share) - self.base_s) / self.videos_s))


def cost_outlook(basis: Basis, card: Gpu | None) -> Cost | None:
    """Return what steps, videos and measurements cost; None when the model's size is not known."""
    if basis.dimensions is None:
        return None
    gpus = gpus_told(card)
    return Cost(
        step_tflop=sum(share * ops.total for share, ops in _micro_batches(basis)) * _accumulation(basis) / TERA,
        render_tflop=sum(operations.total for operations in _videos(basis)) / TERA,
        evaluation_tflop=sum(operations.total for operations in _measurement(basis)) / TERA,
        bounds=tuple(_bound(basis, gpu) for gpu in gpus),
        render_share=run_time(basis, gpus[0]).share(render_times(basis)) if basis.rendering.videos else None,
    )


def gpus_told(card: Gpu | None) -> Sequence[GpuSpeed]:
    """Return the GPUs that times are told for: this machine's, where it is a known one, and the usual."""
    known = gpu_named(card.name) if card else None
    usual = [GPUS[name] for name in USUAL]
    return usual if known is None else [known, *(gpu for gpu in usual if gpu != known)]


def run_time(basis: Basis, gpu: GpuSpeed) -> RunTime:
    """Return the run's time on a GPU. The model's size must be known."""
    videos_s = _seconds(_videos(basis), gpu)
    return RunTime(
        steps_s=basis.plan.total_steps * _step_s(basis, gpu),
        measurements_s=_seconds(_measurement(basis), gpu) * evaluation_times(basis),
        videos_s=videos_s,
        # The base has no average.
        base_s=videos_s / len(basis.rendering.shown) * basis.rendering.benchmark,
    )


def _bound(basis: Basis, gpu: GpuSpeed) -> StepBound:
    return StepBound(
        gpu.name,
        step_s=_step_s(basis, gpu),
        renders_s=_seconds(_videos(basis), gpu),
        evaluation_s=_seconds(_measurement(basis), gpu),
        run_s=run_time(basis, gpu).whole_s(render_times(basis)),
    )


def _accumulation(basis: Basis) -> int:
    return basis.config.training.gradient_accumulation_steps


def _micro_batches(basis: Basis) -> Iterator[tuple[float, Operations]]:
    """Yield the operations of one sample of each dataset and bucket, and how many such the mean micro-batch has."""
    assert basis.dimensions
    for group in basis.groups:
        count, tokens = float(group.samples) / basis.plan.batches_per_epoch, basis.tokens_by_block(group.bucket)
        yield (
            count,
            step_operations(
                basis.dimensions,
                tokens,
                trained=basis.trained_part,
                recomputation=basis.recomputation,
                every=basis.recomputed_every,
            ),
        )
        # The base model is asked first what it would answer.
        if group.dataset in basis.priors:
            yield count, forward_operations(basis.dimensions, tokens)


def _videos(basis: Basis) -> Iterator[Operations]:
    """Yield the operations of each video of one time, with all weights it is made with; the autoencoder's left out."""
    assert basis.dimensions
    for bucket in basis.rendered:
        yield forward_operations(basis.dimensions, basis.tokens(bucket)).times(
            basis.rendering.passes * len(basis.rendering.shown)
        )


def _measurement(basis: Basis) -> Iterator[Operations]:
    """Yield the operations of measuring the held-out clips of each bucket once, every token in every block."""
    assert basis.dimensions
    for bucket, passes in passes_by_bucket(basis).items():
        yield forward_operations(basis.dimensions, basis.tokens(bucket)).times(passes)


def _step_s(basis: Basis, gpu: GpuSpeed) -> float:
    return _accumulation(basis) * sum(share * lower_bound_s(ops, gpu) for share, ops in _micro_batches(basis))


def _seconds(operations: Iterator[Operations], gpu: GpuSpeed) -> float:
    return math.fsum(lower_bound_s(one, gpu) for one in operations)
