"""From datasets to a manifest: every file is trained, held out, or left out with the reason. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reeltune.config.datasets import ClipDataset, Datasets, MediaDataset
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, ManifestRow
from reeltune.contracts.facts import Facts
from reeltune.contracts.progress import Track
from reeltune.data.caption_filters import Filters, read_filters
from reeltune.data.manifest import require_usable
from reeltune.data.masks import with_masks
from reeltune.data.pruning import without_small_buckets
from reeltune.data.scan import UNREADABLE, scan
from reeltune.data.sources import open_source
from reeltune.errors import DataError
from reeltune.randomness import Draws
from reeltune.run.held_out import is_split, measured_datasets, split
from reeltune.run.rules import rules_of
from reeltune.whole_files import whole_file

Kind = TypeVar("Kind", bound=MediaDataset)


def make_manifest(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Look at every file of every dataset. Raises DataError when nothing can be trained, or nothing measured."""
    trained = look_at_trained(config, datasets, facts, track)
    require_usable(trained.trained)
    held_out = (*trained.held_out, *look_at_held_out(config, datasets, facts, track))
    require_measurable([dataset.id for dataset in measured_datasets(config, datasets)], held_out)
    _require_any(config, held_out)
    return Manifest(trained.trained, held_out)


def look_at(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Look at every file of every dataset, be there anything that can be trained and measured or not."""
    trained = look_at_trained(config, datasets, facts, track)
    return Manifest(trained.trained, (*trained.held_out, *look_at_held_out(config, datasets, facts, track)))


def look_at_trained(config: Config, datasets: Datasets, facts: Facts, track: Track) -> Manifest:
    """Return the rows of the trained datasets, be there any that can be or not, and what is held out of them."""
    scanned = _Scans.of(config, datasets, facts, track)
    trained: list[ManifestRow] = []
    held_out: list[ManifestRow] = []
    for dataset in datasets.trained:
        rows, apart = scanned.rows(dataset), []
        if is_split(dataset, config.evaluation):
            rows, apart = split(rows, dataset, config, facts)
        trained += rows
        held_out += _first(apart, config.evaluation.num_eval_images)
    if not config.data.disable_bucket_pruning:
        times = {dataset.id: dataset.times for dataset in datasets.trained}
        trained = without_small_buckets(trained, batch_size=config.training.train_batch_size, times=times)
    return Manifest(tuple(trained), tuple(held_out))


def look_at_held_out(config: Config, datasets: Datasets, facts: Facts, track: Track) -> tuple[ManifestRow, ...]:
    """Return the rows of the datasets of type eval that are measured, be there any that can be or not."""
    scanned = _Scans.of(config, datasets, facts, track)
    limit = config.evaluation.num_eval_images
    return tuple(
        replace(row, held_out=True)
        for dataset in measured_datasets(config, datasets)
        for row in _first(scanned.rows(dataset), limit)
    )


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


def _require_any(config: Config, rows: Sequence[ManifestRow]) -> None:
    """Raise DataError where measuring was asked for and nothing can be held out."""
    if config.evaluation.eval_steps_interval and not rows:
        raise DataError(
            f"eval_split is {config.evaluation.eval_split:g} and no file is held out: of the datasets that are split, "
            "none has two files that can be used. Add clips, or set eval_split=0 and eval_steps_interval=0."
        )


@dataclass(frozen=True)
class _Scans:
    """How datasets are looked at."""

    config: Config
    datasets: Datasets
    facts: Facts
    track: Track
    filters: Filters

    @classmethod
    def of(cls, config: Config, datasets: Datasets, facts: Facts, track: Track) -> _Scans:
        return cls(config, datasets, facts, track, read_filters(datasets.text.caption_filter_list))

    def rows(self, dataset: ClipDataset) -> Sequence[ManifestRow]:
        rows = scan(
            dataset,
            open_source(dataset),
            rules=rules_of(dataset, self.config, self.facts),
            draws=Draws(self.config.training.seed),
            filters=self.filters,
            track=self.track,
        )
        masks = self.datasets.masks_of(dataset)
        return with_masks(rows, dataset, masks, self.track) if masks else rows


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
