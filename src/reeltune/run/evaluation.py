"""From options to the measurement of held-out clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from reeltune.config.root import Config
from reeltune.contracts.clip import samples_of
from reeltune.contracts.family import Family
from reeltune.objective.shift import shift_of
from reeltune.run.manifest import measured_datasets, require_measurable
from reeltune.run.prepare import Prepared
from reeltune.train.evaluate import Evaluation, HeldOutClip
from reeltune.train.schedule import Every


def make_evaluation(
    config: Config, *, family: Family, transformer: nn.Module, prepared: Prepared, device: torch.device
) -> Evaluation | None:
    """Return what measures the held-out clips; None where nothing is to be measured.

    Raises DataError for a dataset of which no clip can be measured.
    """
    options = config.evaluation
    if not options.eval_steps_interval:
        return None
    rows = prepared.manifest.held_out
    wanted = measured_datasets(config, rows)
    require_measurable(wanted, rows)
    return Evaluation(
        every=Every(options.eval_steps_interval),
        family=family,
        transformer=transformer,
        clips={dataset: _clips(prepared, dataset, options.num_eval_images) for dataset in wanted},
        text=prepared.text,
        shift=shift_of(config.training),
        levels=options.eval_timesteps,
        device=device,
    )


def _clips(prepared: Prepared, dataset: str, limit: int) -> Sequence[HeldOutClip]:
    """Return the first usable clips of a dataset; places count all held-out clips, whichever are measured."""
    samples = samples_of(prepared.manifest.held_out)
    places = [place for place, sample in enumerate(samples) if sample.dataset_id == dataset]
    return [HeldOutClip(prepared.held_out[place], place) for place in places[:limit]]
