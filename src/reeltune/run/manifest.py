"""From datasets to a manifest: every file is trained, held out, or left out with the reason. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, ManifestRow
from reeltune.contracts.facts import Facts
from reeltune.contracts.progress import Track
from reeltune.data.manifest import require_usable
from reeltune.data.pruning import without_small_buckets
from reeltune.data.scan import UNREADABLE, scan
from reeltune.errors import DataError
from reeltune.run.plan import minimum_size_of, sizing_of
from reeltune.whole_files import whole_file


def make_manifest(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Look at every file of every dataset. Raises DataError when nothing can be trained, or nothing measured."""
    trained = [row for dataset in datasets.trained for row in _scan(dataset, config, facts, track)]
    if not config.data.disable_bucket_pruning:
        times = {dataset.id: dataset.times for dataset in datasets.trained}
        trained = without_small_buckets(trained, batch_size=config.training.train_batch_size, times=times)
    require_usable(trained)
    measured = measured_datasets(config, datasets)
    limit = config.evaluation.num_eval_images
    held_out = [row for dataset in measured for row in _first(_scan(dataset, config, facts, track), limit)]
    require_measurable([dataset.id for dataset in measured], held_out)
    return Manifest(tuple(trained), tuple(held_out))


def measured_datasets(config: Config, datasets: Datasets) -> list[EvalDataset]:
    """Return the held-out datasets that are measured: none when nothing is, so that none need to be there."""
    options = config.evaluation
    if not options.eval_steps_interval:
        return []
    return [dataset for dataset in datasets.held_out if options.eval_dataset_id in (None, dataset.id)]


def _first(rows: Sequence[ManifestRow], limit: int) -> list[ManifestRow]:
    """Leave out what is beyond the first clips that can be measured, so that it is not encoded either."""
    usable = [row for row in rows if row.sample]
    beyond = {id(row) for row in usable[limit:]}
    reason = f"not measured: num_eval_images is {limit}, and others come first"
    return [replace(row, sample=None, reason=reason) if id(row) in beyond else row for row in rows]


def require_measurable(measured: Sequence[str], rows: Sequence[ManifestRow]) -> None:
    """Raise DataError for a dataset of which no clip can be measured. rows: of what is held out."""
    for dataset in measured:
        own = [row for row in rows if row.dataset_id == dataset]
        if any(row.sample for row in own):
            continue
        why = f", such as {own[0].path}: {own[0].reason}" if own else ""
        raise DataError(
            f"{dataset}: no clip can be measured, {len(own)} were left out{why}. Add clips, set its disabled to "
            "true, or set eval_steps_interval=0."
        )


def _scan(dataset: ClipDataset, config: Config, facts: Facts, track: Track) -> Sequence[ManifestRow]:
    return scan(
        dataset,
        sizing=sizing_of(dataset, config),
        minimum_image_size=minimum_size_of(dataset, config),
        geometry=facts.geometry,
        model_fps=facts.fps,
        track=track,
    )


def write_quarantine(rows: Sequence[ManifestRow], path: Path) -> None:
    """Write the files that cannot be read, one JSON object each; no such file when all can be read."""
    unreadable = [row for row in rows if row.sample is None and row.reason.startswith(UNREADABLE)]
    if not unreadable:
        path.unlink(missing_ok=True)
        return
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(_line(row) for row in unreadable)


def _line(row: ManifestRow) -> str:
    reason = row.reason.partition(": ")[2]
    return json.dumps({"path": str(row.path), "dataset": row.dataset_id, "reason": reason}, ensure_ascii=False) + "\n"
