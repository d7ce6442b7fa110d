"""`reeltune data captions`: which captions there are, how long, and what is cut."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from reeltune.cli.source import add_source_arguments

LINE = "which captions there are, how long, and which are cut"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="name every file where only some would be named")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show what captions there are; no clip is opened."""
    from reeltune.cli.data.page import loaded_for, paper, show

    loaded = loaded_for(arguments, words)
    from reeltune.cli.data.caption_lines import caption_page
    from reeltune.data.caption_filters import read_filters
    from reeltune.data.caption_survey import survey
    from reeltune.data.sources import open_source

    filters = read_filters(loaded.datasets.text.caption_filter_list)
    surveys = [survey(dataset, open_source(dataset), filters=filters) for dataset in loaded.datasets.clips]
    show(caption_page(surveys, loaded.config, paper(), name_all=arguments.all))
    return 0
