"""`reeltune data quarantine`: the files that broke while they were decoded, when and why."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import add_source_arguments

if TYPE_CHECKING:
    from rich.text import Text

    from reeltune.config.datasets import ClipDataset
    from reeltune.data.quarantine import Quarantine
    from reeltune.report.outlook_layout import Paper

LINE = "files that broke while they were decoded: when and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="forget them, so that the next start tries them again")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show the lists of all datasets, or empty them."""
    from reeltune.cli.data.page import loaded_for, paper, show
    from reeltune.data.quarantine import Quarantine

    loaded = loaded_for(arguments, words)
    lists = [(one, Quarantine(Path(one.cache_dir_vae).expanduser())) for one in loaded.datasets.clips]
    if arguments.clear:
        for dataset, quarantine in lists:
            print(f"{dataset.id}: {quarantine.clear()} forgotten; the next start tries them again")
    else:
        on = paper()
        show([line for dataset, quarantine in lists for line in _lines(dataset, quarantine, on)])
    return 0


def _lines(dataset: ClipDataset, quarantine: Quarantine, on: Paper) -> Iterator[Text]:
    from reeltune.cli.data.page import heading, sentence
    from reeltune.report.outlook_words import counted

    files = quarantine.files
    yield from heading(f"{dataset.id}: {counted(len(files), 'file')} broke while decoded", on)
    for broken in files:
        yield from sentence(f"{broken.when} {broken.origin}: {broken.reason}", on)
    if files:
        yield from sentence("mended or replaced files are tried again by themselves, all of them after --clear", on)
