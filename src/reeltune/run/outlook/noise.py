"""Which noise levels a run is trained at, and how answers are judged, in the outlook."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from reeltune.config.objective import ObjectiveOptions
from reeltune.contracts.outlook import NoiseLevels
from reeltune.objective.densities import Density, Numbers, SigmoidNormal, density_of
from reeltune.objective.shift import shift_of
from reeltune.objective.timesteps import shifted_distribution
from reeltune.run.notes import bucket_shift, shift_in_words
from reeltune.run.outlook.basis import Basis

POINTS = 120
"""Values of the density that are handed over for its picture."""

HALVINGS = 50
"""After so many the median is known to the last digit."""

DEFAULT = SigmoidNormal()
"""The density that needs no word."""


def noise_outlook(basis: Basis) -> NoiseLevels:
    """Return how often which noise level is trained, by all datasets together, with the largest bucket's shift."""
    objective = basis.config.objective
    distribution = _distribution(basis)
    rendered = basis.config.rendering.validation_flow_shift
    return NoiseLevels(
        shift=shift_in_words(basis.config, sorted(basis.samples), basis.facts),
        median=_median(distribution),
        density=tuple((POINTS * np.diff(distribution(np.linspace(0, 1, POINTS + 1)))).tolist()),
        rendered_shift="the model's own" if rendered is None else f"shift {rendered:g}",
        drawn=drawn_in_words(density_of(objective), stratified=objective.flow_stratified_sampling),
        offsets=", ".join(
            f"{dataset.id} {dataset.timestep_sampling_offset:+g}"
            for dataset in basis.datasets.trained
            if dataset.timestep_sampling_offset
        ),
        loss=", ".join(loss_in_words(objective)),
    )


def _distribution(basis: Basis) -> Callable[[Numbers], Numbers]:
    """Return the distribution of noise levels over all datasets, each with its part of the steps and its offset."""
    density = density_of(basis.config.objective)
    shift = bucket_shift(shift_of(basis.config.objective), basis.largest, basis.facts)
    offsets = {dataset.id: dataset.timestep_sampling_offset for dataset in basis.datasets.trained}
    # Where one dataset is trained no part of it is told: it is all.
    parts = {one.id: one.share for one in basis.plan.shares} or {basis.groups[0].dataset: 1.0}

    def distribution(sigmas: Numbers) -> Numbers:
        several = (
            part * shifted_distribution(density, sigmas, shift=shift * math.exp(offsets[name]))
            for name, part in parts.items()
        )
        return np.sum(list(several), axis=0)

    return distribution


def _median(distribution: Callable[[Numbers], Numbers]) -> float:
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = float(distribution(np.array([middle]))[0]) < 0.5
        low, high = (middle, high) if below else (low, middle)
    return high


def drawn_in_words(density: Density, *, stratified: bool) -> str:
    """Return what noise levels are drawn from; nothing where it is as it is without any option."""
    spread = "spread evenly over neighbouring samples"
    if density == DEFAULT:
        return spread if stratified else ""
    return f"{density}; {spread}" if stratified else str(density)


def loss_in_words(objective: ObjectiveOptions) -> Iterator[str]:
    """Yield what is not plain about the loss of training."""
    if objective.loss_type != "l2":
        name = objective.loss_type
        yield f"{name} with c {objective.huber_c:g}, schedule {objective.huber_schedule}"
    if objective.loss_weighting != "none":
        yield f"weighted by {objective.loss_weighting}"
