"""Which clips are measured: those of datasets of type eval, and the share of trained ones that eval_split holds out.

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset
from reeltune.config.evaluation import EvaluationOptions
from reeltune.config.root import Config
from reeltune.contracts.clip import ManifestRow, Sample
from reeltune.contracts.facts import Facts
from reeltune.data.hold_out import without_held_out
from reeltune.data.placement import Rules, place
from reeltune.randomness import Draws
from reeltune.run.rules import rules_of


def measured_datasets(config: Config, datasets: Datasets) -> list[EvalDataset]:
    """Return the datasets of type eval that are measured: none when nothing is, so that none need to be there."""
    options = config.evaluation
    if not options.eval_steps_interval:
        return []
    return [dataset for dataset in datasets.held_out if options.eval_dataset_id in (None, dataset.id)]


def is_split(dataset: ClipDataset, options: EvaluationOptions) -> bool:
    """Tell whether some of a dataset's files are held out of training."""
    if not (options.eval_split and options.eval_steps_interval) or isinstance(dataset, EvalDataset):
        return False
    return not dataset.is_regularisation_data and options.eval_dataset_id in (None, dataset.id)


def split(
    rows: Sequence[ManifestRow], dataset: ClipDataset, config: Config, facts: Facts
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """Return the rows of a dataset that are trained or left out, and a row for each file that is held out.

    What is measured of a file is its first window, cut from the middle: whatever is drawn for training, and with other
    seeds, it is the same frames. Its encoding lies in the cache of the dataset.
    """
    kept, names = without_held_out(rows, config.evaluation.eval_split)
    rules = fixed(rules_of(dataset, config, facts))
    held_out = [
        replace(row, sample=_first_window(row.sample, rules), held_out=True)
        for row in rows
        if row.sample and row.sample.file.name in names and row.sample.window == 0
    ]
    return kept, held_out


def fixed(rules: Rules) -> Rules:
    """Return the rules without anything that is drawn, and with the first window alone."""
    cropping = rules.cropping
    aspect = "closest" if cropping.aspect == "random" else cropping.aspect
    return replace(
        rules,
        video=rules.video.model_copy(update={"frame_selection": "first", "windows": None}),
        cropping=replace(cropping, style="center" if cropping.style == "random" else cropping.style, aspect=aspect),
    )


def _first_window(sample: Sample, rules: Rules) -> Sample:
    placements = place(sample.info, rules, draws=Draws(0), name=sample.file.name)
    # Which window is taken decides neither whether a clip is admitted nor that there is one.
    assert not isinstance(placements, str), placements
    # What is measured is measured whole: a mask says what is to be learned.
    return replace(sample, placement=placements[0], window=0, windows=1, mask=None, held_out=True)
