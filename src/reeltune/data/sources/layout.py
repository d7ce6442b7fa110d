"""How a published dataset is laid out: which of its files belong to a split, and which of them are shards or lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from reeltune.contracts.clip import FileRef
from reeltune.data.kinds import is_media
from reeltune.errors import DataError

_SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval")
_NUMBERED = re.compile(r"([\w.]+?)-\d{3,}-of-\d{3,}")
_LISTS = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def lists_of(files: Sequence[FileRef]) -> list[FileRef]:
    """Return the tables that name media files: metadata.csv and its kin."""
    return [file for file in files if PurePosixPath(file.name).name in _LISTS]


def shards_of(files: Sequence[FileRef]) -> list[FileRef]:
    """Return the tables that may hold media themselves."""
    lists = lists_of(files)
    return [file for file in files if file.name.lower().endswith(".parquet") and file not in lists]


def of_split(files: Sequence[FileRef], split: str, place: str) -> list[FileRef]:
    """Return the files of one split. Files whose names tell no split are those of train where no others are.

    Beside a split's own tables, media of no split stay, since tables may name them; beside its own media, lists do.
    Raises DataError, naming the splits that are there, where that leaves no table and no media.
    """
    splits = {file.name: split_of(file.name) for file in files}
    own = [file for file in files if splits[file.name] == split]
    loose = [file for file in files if splits[file.name] is None]
    if any(map(_is_content, own)):
        tables = shards_of(own) + lists_of(own)
        return own + ([file for file in loose if not _is_table(file)] if tables else lists_of(loose))
    if split == "train" and any(map(_is_content, loose)):
        return loose
    there = sorted({name for name in splits.values() if name} | ({"train"} if any(map(_is_content, loose)) else set()))
    known = f"there are {', '.join(there)}" if there else "it holds neither media nor parquet files"
    raise DataError(f"{place} has no split {split}: {known}; set split, or check dataset_name")


def split_of(name: str) -> str | None:
    """Return the split that a file's name tells: data/train-00000-of-00002.parquet, train/a.mp4, test.parquet."""
    path = PurePosixPath(name)
    if numbered := _NUMBERED.match(path.name):
        return numbered[1]
    named = (path.name.split("-")[0].split(".")[0] if path.suffix == ".parquet" else "", *path.parts[:-1])
    return next((part for part in named if part.lower() in _SPLITS), None)


def _is_table(file: FileRef) -> bool:
    return bool(shards_of([file]) or lists_of([file]))


def _is_content(file: FileRef) -> bool:
    return is_media(PurePosixPath(file.name)) or file.name.lower().endswith(".parquet")
