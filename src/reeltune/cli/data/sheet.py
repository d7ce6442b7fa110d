"""`reeltune data sheet`: one page that shows the exact frames the model is trained on, decoded back from the cache."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reeltune.cli.failures import before_training
from reeltune.cli.source import add_source_arguments

LINE = "one page with every clip as the model sees it, decoded back from the cache"

MOST = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder of the page; default output_dir/sheet")
    parser.add_argument(
        "--most",
        type=_count,
        default=MOST,
        metavar="N",
        help=f"show at most N samples, as evenly from all buckets as they allow; default {MOST}",
    )
    parser.add_argument("--dataset", metavar="ID", help="show one dataset only")
    parser.add_argument(
        "--left-out", action="store_true", help="also show a picture of each file that is left out and can be read"
    )
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Fill the caches and write the page."""
    with before_training():
        from reeltune.cli.train import opened

        loaded = opened(arguments, words)
        from reeltune.report.console import track
        from reeltune.report.sheet_words import told
        from reeltune.run.sheet import Wanted, make_sheet

        wanted = Wanted(
            folder=arguments.out or loaded.config.reporting.run_folder / "sheet",
            most=arguments.most,
            dataset=arguments.dataset,
            pictures_of_left_out=arguments.left_out,
        )
        page, sheet = make_sheet(loaded, wanted, track=track)
    print(told(sheet, page.resolve()))
    return 0


def _count(word: str) -> int:
    """Read a number of samples. Raises ValueError, which argparse words as a message."""
    if (number := int(word)) < 1:
        raise ValueError(word)
    return number


_count.__name__ = "number of samples"
