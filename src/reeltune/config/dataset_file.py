"""From the dataset file to checked `Datasets`, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reeltune.config.datasets import DatasetEntry, Datasets, TextEmbeds, VideoDataset
from reeltune.config.document import Document, KeyPath, read_document
from reeltune.config.option import Section
from reeltune.config.problems import Problems, explain, nearest
from reeltune.errors import ConfigError

KINDS: Mapping[str, type[Section]] = {"video": VideoDataset, "text_embeds": TextEmbeds}


def load_datasets(path: Path) -> Datasets:
    """Read the dataset file: at least one video dataset and exactly one text-embed store in use.

    Raises ConfigError that lists every problem with its line.
    """
    document = read_document(path)
    if not isinstance(document.content, list):
        raise ConfigError(f"{path}: a list of datasets is needed: [ {{...}}, {{...}} ]")
    problems = Problems(str(path))
    for repeat in document.repeats:
        where = document.where(repeat.key)
        problems.add(_name(document, repeat.key), where, f"is also in line {repeat.earlier}; keep one")
    parsed = [_entry(document, index, problems) for index in range(len(document.content))]
    used = {index: entry for index, entry in enumerate(parsed) if entry is not None and not entry.disabled}
    _check_videos(document, used, problems)
    stores = [entry for entry in used.values() if isinstance(entry, TextEmbeds)]
    # An entry that could not be read may be the one that seems to be missing.
    if None not in parsed:
        problems.lines.extend(_missing_kinds(len(used) - len(stores), len(stores)))
    problems.raise_if_any()
    return Datasets(videos=tuple(entry for entry in used.values() if isinstance(entry, VideoDataset)), text=stores[0])


def _entry(document: Document, index: int, problems: Problems) -> VideoDataset | TextEmbeds | None:
    adapter: TypeAdapter[VideoDataset | TextEmbeds] = TypeAdapter(DatasetEntry)
    try:
        return adapter.validate_python(document.content[index])
    except ValidationError as error:
        for key, details in groupby(error.errors(), key=lambda detail: _key(document, index, detail)):
            details = list(details)
            hint = nearest(str(key[-1]), _siblings(details[0])) if details[0]["type"] == "extra_forbidden" else ""
            problems.add(_name(document, key), document.where(key), explain(details) + hint)
    return None


def _key(document: Document, index: int, detail: ErrorDetails) -> KeyPath:
    """Return the key that pydantic means: its path names the kind of dataset first, and branches of a type last."""
    if detail["type"] == "union_tag_invalid":
        return (index, "dataset_type")
    key = (index, *detail["loc"][1:])
    return key if detail["type"] == "missing" else document.known(key)


def _siblings(detail: ErrorDetails) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    kind: Any = KINDS[str(detail["loc"][0])]
    for part in detail["loc"][1:-1]:
        kind = kind.model_fields[part].annotation
    return list(kind.model_fields)


def _name(document: Document, key: KeyPath) -> str:
    """Return a key for people: `my-clips.video.fps`, or `entry 2.id` where the dataset has no id."""
    entry = document.content[key[0]]
    label = entry.get("id") if isinstance(entry, dict) else None
    return ".".join([str(label or f"entry {int(key[0]) + 1}"), *(str(part) for part in key[1:])])


def _check_videos(document: Document, used: Mapping[int, VideoDataset | TextEmbeds], problems: Problems) -> None:
    videos = {index: entry for index, entry in used.items() if isinstance(entry, VideoDataset)}
    for name in ("id", "cache_dir_vae"):
        first: dict[str, int] = {}
        for index, video in videos.items():
            value = getattr(video, name)
            if first.setdefault(value, index) != index:
                line = document.lines[(first[value], name)]
                problem = f"{value!r} is used twice, first in line {line}; each dataset needs its own"
                problems.add(_name(document, (index, name)), document.where((index, name)), problem)
    for index, video in videos.items():
        if video.caption_strategy == "instanceprompt" and not video.instance_prompt:
            key = (index, "instance_prompt")
            problems.add(_name(document, key), document.where(key), "is needed with caption_strategy instanceprompt")


def _missing_kinds(videos: int, stores: int) -> Iterator[str]:
    if not videos:
        yield 'no video dataset is in use: add an entry with "dataset_type": "video"'
    if stores != 1:
        yield f'{stores} text-embed stores are in use: exactly one entry with "text_embeds" is needed'
