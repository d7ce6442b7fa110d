"""`reeltune data quarantine`: the files that cannot be read, why, and since when where that is remembered."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from reeltune.cli.source import add_source_arguments

if TYPE_CHECKING:
    from rich.text import Text

    from reeltune.config.datasets import Datasets
    from reeltune.config.load import Loaded
    from reeltune.contracts.clip import ManifestRow
    from reeltune.report.outlook_layout import Paper

LINE = "every file that cannot be read, and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "forget those that are remembered, so that the next start tries them again"
    parser.add_argument("--clear", action="store_true", help=text)
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show the files of all datasets that cannot be read, or forget those that are remembered."""
    from reeltune.cli.data.page import loaded_for, paper, show

    loaded = loaded_for(arguments, words)
    if arguments.clear:
        _clear(loaded.datasets)
    else:
        show(list(_lines(_unreadable(loaded), paper())))
    return 0


def _clear(datasets: Datasets) -> None:
    from reeltune.data.quarantine import Quarantine

    for dataset in datasets.clips:
        count = Quarantine(dataset.cache_folder).clear()
        print(f"{dataset.id}: {count} forgotten; the next start tries them again")


def _unreadable(loaded: Loaded) -> Mapping[str, Sequence[ManifestRow]]:
    from reeltune.families import family_facts
    from reeltune.report.console import track
    from reeltune.run.manifest import look_for_unreadable

    config = loaded.config
    return look_for_unreadable(config, loaded.datasets, family_facts(config.model), track)


def _lines(unreadable: Mapping[str, Sequence[ManifestRow]], on: Paper) -> Iterator[Text]:
    from reeltune.cli.data.page import heading, sentence
    from reeltune.report.outlook_words import counted

    for name, rows in unreadable.items():
        yield from heading(f"{name}: {counted(len(rows), 'file')} cannot be read", on)
        for row in rows:
            yield from sentence(f"{row.origin}: {row.why}", on)
    if any(unreadable.values()):
        yield from sentence("mended or replaced files are tried again by themselves", on)
