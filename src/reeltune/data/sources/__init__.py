"""Where a dataset's files come from, one class per type: a folder, an object store, a table, a dataset on the Hub.

Each fills `contracts.source.Source`. What is not on this machine is fetched when it is asked for, into a folder of its
own, whole or not at all; `mirror` knows how.
"""

from __future__ import annotations

from collections.abc import Callable

from reeltune.config.datasets import ClipDataset, SourceKind
from reeltune.contracts.source import Source
from reeltune.data.sources.hub import HubSource
from reeltune.data.sources.local import LocalSource
from reeltune.data.sources.objects import ObjectSource
from reeltune.data.sources.table import TableSource

_SOURCES: dict[SourceKind, Callable[[ClipDataset], Source]] = {
    "local": LocalSource,
    "aws": ObjectSource,
    "csv": TableSource,
    "huggingface": HubSource,
}


def open_source(dataset: ClipDataset) -> Source:
    """Return where a dataset's files come from. Nothing is looked at before `find`."""
    return _SOURCES[dataset.type](dataset)
