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
from reeltune.run.plan import minimum_size_of, sizing_of
from reeltune.whole_files import whole_file


def make_manifest(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Look at every file of every dataset. Raises DataError when nothing can be trained."""
    trained = [row for dataset in datasets.videos for row in _scan(dataset, config, facts, track)]
    if not config.data.disable_bucket_pruning:
        times = {dataset.id: dataset.repeats + 1 for dataset in datasets.videos}
        trained = without_small_buckets(trained, batch_size=config.training.train_batch_size, times=times)
    require_usable(trained)
    held_out = [row for dataset in datasets.held_out for row in _scan(dataset, config, facts, track)]
    return Manifest(tuple(trained), tuple(held_out))


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
