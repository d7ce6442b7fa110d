"""From datasets to a manifest: every file is trained, held out, or left out with the reason. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reeltune.config.datasets import ClipDataset, Datasets, EvalDataset, MediaDataset
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, ManifestRow
from reeltune.contracts.facts import Facts
from reeltune.contracts.progress import Track
from reeltune.data.caption_filters import Filters, read_filters
from reeltune.data.manifest import require_usable
from reeltune.data.pruning import without_small_buckets
from reeltune.data.scan import UNREADABLE, scan
from reeltune.data.sources import open_source
from reeltune.errors import DataError
from reeltune.randomness import Draws
from reeltune.run.rules import rules_of
from reeltune.whole_files import whole_file

Kind = TypeVar("Kind", bound=MediaDataset)


def make_manifest(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Look at every file of every dataset. Raises DataError when nothing can be trained, or nothing measured."""
    trained = look_at_trained(config, datasets, facts, track)
    require_usable(trained)
    held_out = look_at_held_out(config, datasets, facts, track)
    require_measurable([dataset.id for dataset in measured_datasets(config, datasets)], held_out)
    return Manifest(trained, held_out)


def look_at_trained(config: Config, datasets: Datasets, facts: Facts, track: Track) -> tuple[ManifestRow, ...]:
    """Return the rows of what is trained, be there any that can be or not."""
    scanned = _Scans.of(config, datasets, facts, track)
    trained = [row for dataset in datasets.trained for row in scanned.rows(dataset)]
    if not config.data.disable_bucket_pruning:
        times = {dataset.id: dataset.times for dataset in datasets.trained}
        trained = without_small_buckets(trained, batch_size=config.training.train_batch_size, times=times)
    return tuple(trained)


def look_at_held_out(config: Config, datasets: Datasets, facts: Facts, track: Track) -> tuple[ManifestRow, ...]:
    """Return the rows of what is measured, be there any that can be or not."""
    scanned = _Scans.of(config, datasets, facts, track)
    limit = config.evaluation.num_eval_images
    measured = measured_datasets(config, datasets)
    return tuple(row for dataset in measured for row in _first(scanned.rows(dataset), limit))


def look_for_unreadable(config: Config, datasets: Datasets, facts: Facts, track: Track) -> dict[str, list[ManifestRow]]:
    """Return, by dataset, the rows of the files that cannot be read, of what is trained and what is measured."""
    scanned = _Scans.of(config, datasets, facts, track)
    lenient = whatever_is_missing(datasets)
    looked_at = (*lenient.trained, *measured_datasets(config, lenient))
    return {dataset.id: unreadable(scanned.rows(dataset)) for dataset in looked_at}


def whatever_is_missing(datasets: Datasets) -> Datasets:
    """Return the datasets as if they allowed captions to be missing, so that they can be looked at all the same."""

    def lenient(dataset: Kind) -> Kind:
        return dataset.model_copy(update={"allow_missing_captions": True})

    trained, held_out = tuple(map(lenient, datasets.trained)), tuple(map(lenient, datasets.held_out))
    return datasets.model_copy(update={"trained": trained, "held_out": held_out})


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
        why = f", such as {own[0].origin}: {own[0].reason}" if own else ""
        raise DataError(
            f"{dataset}: no clip can be measured, {len(own)} were left out{why}. Add clips, set its disabled to "
            "true, or set eval_steps_interval=0."
        )


@dataclass(frozen=True)
class _Scans:
    """How datasets are looked at."""

    config: Config
    facts: Facts
    track: Track
    filters: Filters

    @classmethod
    def of(cls, config: Config, datasets: Datasets, facts: Facts, track: Track) -> _Scans:
        return cls(config, facts, track, read_filters(datasets.text.caption_filter_list))

    def rows(self, dataset: ClipDataset) -> Sequence[ManifestRow]:
        return scan(
            dataset,
            open_source(dataset),
            rules=rules_of(dataset, self.config, self.facts),
            draws=Draws(self.config.training.seed),
            filters=self.filters,
            track=self.track,
        )


def unreadable(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return the rows of the files that cannot be read."""
    return [row for row in rows if row.sample is None and row.kind == UNREADABLE]


def write_quarantine(rows: Sequence[ManifestRow], path: Path) -> None:
    """Write the files that cannot be read, one JSON object each; no such file when all can be read."""
    listed = unreadable(rows)
    if not listed:
        path.unlink(missing_ok=True)
        return
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(_line(row) for row in listed)


def _line(row: ManifestRow) -> str:
    return json.dumps({"path": row.origin, "dataset": row.dataset_id, "reason": row.why}, ensure_ascii=False) + "\n"
