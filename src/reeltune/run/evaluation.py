"""From options to the measurement of held-out clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from reeltune.config.root import Config
from reeltune.contracts.clip import samples_of
from reeltune.contracts.family import Family
from reeltune.data.batches import Item
from reeltune.objective.shift import shift_of
from reeltune.run.manifest import require_measurable
from reeltune.run.prepare import Prepared
from reeltune.train.evaluate import Evaluation
from reeltune.train.history import FILE_NAME, History
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
    wanted = list(dict.fromkeys(row.dataset_id for row in prepared.manifest.held_out))
    require_measurable(wanted, prepared.manifest.held_out)
    clips = {dataset: _clips(prepared, dataset) for dataset in wanted}
    return Evaluation(
        every=Every(options.eval_steps_interval),
        family=family,
        transformer=transformer,
        clips=_pooled(clips) if options.eval_dataset_pooling else clips,
        text=prepared.text,
        shift=shift_of(config.objective),
        levels=options.eval_timesteps,
        device=device,
        history=History(config.reporting.run_folder / FILE_NAME),
    )


POOLED = "pooled"
"""What all held-out clips are called when they are measured as one dataset."""


def _pooled(clips: Mapping[str, Sequence[Item]]) -> dict[str, Sequence[Item]]:
    return {POOLED: [item for own in clips.values() for item in own]}


def _clips(prepared: Prepared, dataset: str) -> Sequence[Item]:
    """Return the clips of a dataset that are measured."""
    samples = samples_of(prepared.manifest.held_out)
    return [item for sample, item in zip(samples, prepared.held_out, strict=True) if sample.dataset_id == dataset]
