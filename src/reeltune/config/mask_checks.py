"""What is wrong between clips and the masks that they name, and which masks nobody names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reeltune.config.dataset_entry import Entry, name_of
from reeltune.config.datasets import TrainedDataset
from reeltune.config.document import Document
from reeltune.config.masks import MaskDataset
from reeltune.config.problems import Problems
from reeltune.contracts.notes import Note

KEY = "conditioning_data"


def check_masks(document: Document, parsed: Sequence[Entry | None], problems: Problems) -> None:
    """Add a problem for each dataset whose masks are not there, or lie among its clips.

    parsed: the entries in order; None for one that could not be read, which may be the masks that are looked for.
    """
    used = {index: entry for index, entry in enumerate(parsed) if entry is not None and not entry.disabled}
    unread = {_id_in(document, index) for index, entry in enumerate(parsed) if entry is None}
    masks = {entry.id: entry for entry in used.values() if isinstance(entry, MaskDataset)}
    for index, entry in used.items():
        if not isinstance(entry, TrainedDataset) or not entry.conditioning_data or entry.conditioning_data in unread:
            continue
        for problem in _problems(entry, masks.get(entry.conditioning_data), sorted(masks)):
            problems.add(name_of(document, (index, KEY)), document.where((index, KEY)), problem)


def unused_masks(entries: Iterable[Entry]) -> Iterator[Note]:
    """Yield a note for each entry of masks that no dataset in use names."""
    there = list(entries)
    named = {entry.conditioning_data for entry in there if isinstance(entry, TrainedDataset)}
    for entry in there:
        if isinstance(entry, MaskDataset) and entry.id not in named:
            yield Note("inert", entry.id, f'no dataset that is trained names these masks: "{KEY}": "{entry.id}"')


def _problems(dataset: TrainedDataset, masks: MaskDataset | None, there: Sequence[str]) -> Iterator[str]:
    if masks is None:
        what = f"there is {', '.join(there)}" if there else 'add one with "dataset_type": "conditioning"'
        yield f"is {dataset.conditioning_data!r}, which is no entry of masks in use; {what}"
    elif dataset.instance_data_dir and _lies_in(masks.folder, Path(dataset.instance_data_dir).expanduser()):
        yield (
            f"names masks in {masks.instance_data_dir}, inside {dataset.instance_data_dir}: they would be trained as "
            "clips; move them to a folder of their own"
        )


def _lies_in(inner: Path, outer: Path) -> bool:
    return Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer))


def _id_in(document: Document, index: int) -> str:
    content = document.content[index]
    return str(content.get("id")) if isinstance(content, dict) else ""
