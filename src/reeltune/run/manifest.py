"""From datasets to a manifest: every file is trained, held out, or left out with the reason. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reeltune.config.datasets import ClipDataset, Datasets
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
    trained = [row for dataset in datasets.videos for row in _scan(dataset, config, facts, track)]
    if not config.data.disable_bucket_pruning:
        times = {dataset.id: dataset.repeats + 1 for dataset in datasets.videos}
        trained = without_small_buckets(trained, batch_size=config.training.train_batch_size, times=times)
    require_usable(trained)
    held_out = [row for dataset in datasets.held_out for row in _scan(dataset, config, facts, track)]
    require_measurable(measured_datasets(config, held_out), held_out)
    return Manifest(tuple(trained), tuple(held_out))


def measured_datasets(config: Config, rows: Sequence[ManifestRow]) -> list[str]:
    """Return the held-out datasets that are measured, in the order of the dataset file."""
    if not config.evaluation.eval_steps_interval:
        return []
    chosen = config.evaluation.eval_dataset_id
    return [chosen] if chosen else list(dict.fromkeys(row.dataset_id for row in rows))


def require_measurable(datasets: Sequence[str], rows: Sequence[ManifestRow]) -> None:
    """Raise DataError for a dataset of which no clip can be measured. rows: of what is held out."""
    for dataset in datasets:
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
