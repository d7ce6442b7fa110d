"""The loss on held-out clips in the outlook."""

from __future__ import annotations

from collections import Counter

from reeltune.contracts.clip import Bucket, samples_of
from reeltune.contracts.outlook import EvaluationOutlook
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
        levels=basis.config.evaluation.eval_timesteps,
        passes=passes.total(),
        times=evaluation_times(basis),
    )


def evaluation_times(basis: Basis) -> int:
    """Return how often the held-out clips are measured: at each interval, and at the end."""
    return times_due(basis.config.evaluation.eval_steps_interval, basis.plan.total_steps)


def passes_by_bucket(basis: Basis) -> Counter[Bucket]:
    """Return the forward passes of one measurement: of each clip, at each level, with the weights and their average."""
    each = basis.config.evaluation.eval_timesteps * (2 if basis.config.average.use_ema else 1)
    return Counter({bucket: clips * each for bucket, clips in _clips(basis).items()})


def _clips(basis: Basis) -> Counter[Bucket]:
    measured = {dataset.id for dataset in basis.measured}
    held_out = samples_of(basis.manifest.held_out)
    return Counter(sample.placement.bucket for sample in held_out if sample.dataset_id in measured)
