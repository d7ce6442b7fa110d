"""The loss on held-out clips in the outlook."""

from __future__ import annotations

from collections import Counter

from reeltune.contracts.clip import Bucket, samples_of
from reeltune.contracts.outlook import EvaluationOutlook
from reeltune.data.manifest import files_of
from reeltune.estimate.rare_work import times_due
from reeltune.run.outlook.basis import Basis


def evaluation_outlook(basis: Basis) -> EvaluationOutlook | None:
    """Return what is measured and how often; None when nothing is."""
    passes = passes_by_bucket(basis)
    if not passes:
        return None
    return EvaluationOutlook(
        datasets=tuple(dataset.id for dataset in basis.measured),
        clips=_clips(basis).total(),
        held_out=len(files_of(basis.manifest.held_out)),
        pooled=basis.config.evaluation.eval_dataset_pooling,
        levels=basis.config.evaluation.eval_timesteps,
        passes=passes.total(),
        times=evaluation_times(basis),
    )


def evaluation_times(basis: Basis) -> int:
    """Return how often the held-out clips are measured: before the first step, at each interval, and at the end."""
    return 1 + times_due(basis.config.evaluation.eval_steps_interval, basis.plan.total_steps)


def passes_by_bucket(basis: Basis) -> Counter[Bucket]:
    """Return the forward passes of one measurement: of each clip, at each level, with the weights and their average."""
    each = basis.config.evaluation.eval_timesteps * (2 if basis.config.average.use_ema else 1)
    return Counter({bucket: clips * each for bucket, clips in _clips(basis).items()})


def _clips(basis: Basis) -> Counter[Bucket]:
    rows = basis.manifest.held_out if basis.measured else ()
    return Counter(sample.placement.bucket for sample in samples_of(rows))
