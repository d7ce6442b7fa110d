"""`reeltune plan`: what a run would do and take, in seconds, without loading weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import Source, add_source_arguments, command, find_source, load_source
from reeltune.cli.train import make_data

if TYPE_CHECKING:
    from reeltune.contracts.outlook import Outlook

LINE = "say what a run will do and what it takes, without starting it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the plan for programs")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Print the plan."""
    source = find_source(arguments, words)
    if arguments.json:
        from reeltune.report.outlook import outlook_json

        print(outlook_json(_outlook(source)))
    else:
        _show(source, command("train", arguments, words))
    return 0


def show_plan(paths: Sequence[Path]) -> None:
    """Print the plan of configuration files that are not in use yet. Raises ReeltuneError."""
    _show(Source(tuple(paths), {}), None)


def _show(source: Source, start: str | None) -> None:
    from rich.console import Console

    from reeltune.report.outlook import print_outlook

    print_outlook(_outlook(source), Console(), command=start)


def _outlook(source: Source) -> Outlook:
    from reeltune.report.console import track
    from reeltune.run.means import find_means
    from reeltune.run.outlook.page import look_ahead

    loaded = load_source(source)
    # The page alone is on the standard output, so that a program can read it.
    make_data(source, lambda line: print(line, file=sys.stderr, flush=True))
    return look_ahead(loaded, find_means(loaded.config), track=track)
