"""What all sources do with what they list: tell kinds apart, keep what a table names, keep the same few of many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from reeltune.config.datasets import ClipDataset, SourceKind
from reeltune.contracts.clip import FileRef
from reeltune.contracts.source import Entry, Found, Passed
from reeltune.data.kinds import BY_DATASET, is_media, is_wanted, not_wanted
from reeltune.data.tables import cell_name, name_in_table, read_rows
from reeltune.errors import DataError

_ADVICE: dict[SourceKind, str] = {
    "local": "Put the clips there or into a subfolder, or set instance_data_dir to their folder",
    "aws": "Put the clips there, or set aws_bucket_name and aws_data_prefix to where they are",
    "csv": "Correct its rows, or set csv_path_column to the column that names the clips",
    "huggingface": "Check dataset_name, split and the names of its columns",
}
_SHOWS: dict[str, str] = {"video": "video", "image": "picture", "eval": "clip or picture"}


def by_kind(files: Iterable[FileRef], dataset: ClipDataset) -> Found:
    """Offer the files of the kinds that a dataset reads, pass over other media, and leave out what shows nothing."""
    entries, passed = [], []
    for file in files:
        kind = PurePosixPath(file.name)
        if is_wanted(kind, dataset):
            entries.append(Entry(file))
        elif is_media(kind):
            passed.append(pass_over(file, not_wanted(kind, dataset)))
    return Found(tuple(entries), tuple(passed))


def pass_over(file: FileRef, reason: str) -> Passed:
    """Return a listed file as one that is not offered."""
    return Passed(Path(file.name) if file.url else file.path, reason, file.url)


def only_tabled(found: Found, dataset: ClipDataset) -> Found:
    """Keep what the dataset's table names, where its metadata_backend is parquet; what it names in vain is passed over.

    Raises DataError for a table that cannot be read.
    """
    if dataset.metadata_backend != "parquet":
        return found
    if dataset.parquet is None:
        raise DataError(f"dataset {dataset.id}: metadata_backend parquet needs the table's place; set parquet.path")
    table, column = Path(dataset.parquet.path).expanduser(), dataset.parquet.filename_column
    whole = dataset.parquet.identifier_includes_extension
    named = dict.fromkeys(cell_name(row[column]) for row in read_rows(table, [column]))
    keys = {entry: name_in_table(entry.file.name, whole=whole) for entry in found.entries}
    there = set(keys.values()) | {name_in_table(_name(passed, dataset), whole=whole) for passed in found.passed}
    unnamed = (
        pass_over(entry.file, f"not in the table: {table} does not name {key}; add a row that does")
        for entry, key in keys.items()
        if key not in named
    )
    missing = (
        Passed(Path(name), f"missing: {table} names it, and no such file is there; put it there or take the row out")
        for name in named
        if name and name not in there
    )
    kept = tuple(entry for entry, key in keys.items() if key in named)
    return Found(kept, (*found.passed, *unnamed, *missing))


def _name(passed: Passed, dataset: ClipDataset) -> str:
    """Return the name below the root of a file that was passed over."""
    root = Path(dataset.instance_data_dir or "").expanduser()
    inside = not passed.url and passed.path.is_relative_to(root)
    return (passed.path.relative_to(root) if inside else passed.path).as_posix()


def limited(found: Found, most: int | None) -> Found:
    """Keep at most so many entries: the same ones at every start and on every machine, whatever else is there.

    Which they are depends on their names alone, so a file that is added moves at most one other out.
    """
    if most is None or len(found.entries) <= most:
        return found
    drawn = {entry.file.name for entry in sorted(found.entries, key=lambda entry: _lot(entry.file.name))[:most]}
    reason = f"not used: max_num_samples is {most} and there are {len(found.entries)}; raise it to use more"
    left = (pass_over(entry.file, reason) for entry in found.entries if entry.file.name not in drawn)
    kept = tuple(entry for entry in found.entries if entry.file.name in drawn)
    return replace(found, entries=kept, passed=(*found.passed, *left))


def _lot(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).digest()


def refuse_nothing(found: Found, dataset: ClipDataset, names: Iterable[PurePath]) -> Found:
    """Return what was found. Raises DataError, saying what is there instead, where nothing at all is offered."""
    if found.entries:
        return found
    there = list(names)
    kinds = Counter(path.suffix.lower() or "no extension" for path in there).most_common(5)
    others = f"{len(there)} other files are there ({', '.join(f'{count} {kind}' for kind, count in kinds)})"
    raise DataError(
        f"no {_SHOWS[dataset.dataset_type]} in {dataset.place}: looked for "
        f"{' '.join(BY_DATASET[dataset.dataset_type])}; {others if there else 'it holds no files'}. "
        f"{_ADVICE[dataset.type]}{_first_reasons(found)}"
    )


def _first_reasons(found: Found) -> str:
    shown = [f"\n  {passed.url or passed.path}: {passed.reason}" for passed in found.passed[:3]]
    more = len(found.passed) - len(shown)
    return "".join(shown) + (f"\n  ... and {more} more" if more > 0 else "")
