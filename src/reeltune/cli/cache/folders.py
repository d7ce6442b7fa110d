"""Which caches a configuration has, found without the data and the model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import find_source, load_source

if TYPE_CHECKING:
    from reeltune.config.datasets import Datasets


@dataclass(frozen=True)
class CacheFolder:
    """One cache. names: the datasets and stores that have it. fetched: where their files of other places lie."""

    folder: Path
    names: tuple[str, ...]
    fetched: tuple[Path, ...] = ()


def cache_folders(arguments: argparse.Namespace, words: Sequence[str]) -> list[CacheFolder]:
    """Return the caches of the configuration that the arguments name, each once."""
    return folders_of(load_source(find_source(arguments, words)).datasets)


def folders_of(datasets: Datasets) -> list[CacheFolder]:
    """Return the caches of datasets, each once: those of clips in their order, then that of captions."""
    from reeltune.data.sources.mirror import mirror_folder

    found: dict[Path, CacheFolder] = {}
    for dataset in datasets.clips:
        place = dataset.cache_folder
        known = found.get(place, CacheFolder(place, ()))
        fetched = tuple(dict.fromkeys((*known.fetched, mirror_folder(dataset))))
        found[place] = CacheFolder(place, (*known.names, dataset.id), fetched)
    text = datasets.text.cache_folder
    known = found.get(text, CacheFolder(text, ()))
    found[text] = CacheFolder(text, (*known.names, datasets.text.id), known.fetched)
    return list(found.values())
