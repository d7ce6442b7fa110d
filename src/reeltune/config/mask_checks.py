"""What is wrong between clips and masks, and which masks nobody names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reeltune.config.dataset_entry import Entry, name_of
from reeltune.config.datasets import EvalDataset, MediaDataset, TrainedDataset
from reeltune.config.document import Document
from reeltune.config.masks import MaskDataset
from reeltune.config.problems import Problems
from reeltune.contracts.notes import Note

KEY, PLACE = "conditioning_data", "instance_data_dir"


def check_masks(document: Document, parsed: Sequence[Entry | None], problems: Problems) -> None:
    """Add a problem for each dataset whose masks are not there, and for masks that lie among the clips of any.

    parsed: the entries in order; None for one that could not be read, which may be the masks that are looked for.
    """
    used = {index: entry for index, entry in enumerate(parsed) if entry is not None and not entry.disabled}
    unread = {_id_in(document, index) for index, entry in enumerate(parsed) if entry is None}
    there = sorted(entry.id for entry in used.values() if isinstance(entry, MaskDataset))
    for index, entry in used.items():
        if isinstance(entry, MaskDataset):
            for problem in _misplaced(entry, used.values()):
                problems.add(name_of(document, (index, PLACE)), document.where((index, PLACE)), problem)
        elif isinstance(entry, TrainedDataset) and (named := entry.conditioning_data) not in (None, *there, *unread):
            what = f"there is {', '.join(there)}" if there else 'add one with "dataset_type": "conditioning"'
            problem = f"is {named!r}, which is no entry of masks in use; {what}"
            problems.add(name_of(document, (index, KEY)), document.where((index, KEY)), problem)


def unused_masks(entries: Iterable[Entry]) -> Iterator[Note]:
    """Yield a note for each entry of masks that no dataset in use names."""
    there = list(entries)
    named = {entry.conditioning_data for entry in there if isinstance(entry, TrainedDataset)}
    for entry in there:
        if isinstance(entry, MaskDataset) and entry.id not in named:
            yield Note("inert", entry.id, f'no dataset that is trained names these masks: "{KEY}": "{entry.id}"')


def _misplaced(masks: MaskDataset, entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a problem for each dataset in whose folder masks would be found as clips."""
    for entry in entries:
        if not isinstance(entry, MediaDataset) or entry.type != "local" or not entry.instance_data_dir:
            continue
        if _lies_in(masks.folder, Path(entry.instance_data_dir).expanduser()):
            use = "measured" if isinstance(entry, EvalDataset) else "trained"
            yield (
                f"is {masks.instance_data_dir!r}, inside {entry.instance_data_dir} of {entry.id}: they would be {use} "
                "as clips; move them to a folder of their own"
            )


def _lies_in(inner: Path, outer: Path) -> bool:
    return Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer))


def _id_in(document: Document, index: int) -> str:
    content = document.content[index]
    return str(content.get("id")) if isinstance(content, dict) else ""
