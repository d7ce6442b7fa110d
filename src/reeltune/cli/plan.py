"""`reeltune plan`: what a run would do and take, in seconds, without loading weights."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import Source, add_source_arguments, find_source, load_source, source_words
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
    command = " ".join(["reeltune train", shlex.join([*source_words(arguments), *words])]).strip()
    if arguments.json:
        from reeltune.report.outlook import outlook_json

        print(outlook_json(_outlook(source)))
    else:
        _show(source, command)
    return 0


def show_plan(paths: Sequence[Path]) -> None:
    """Print the plan of configuration files that are not in use yet. Raises ReeltuneError for what is wrong with them."""
    _show(Source(tuple(paths), {}), None)


def _show(source: Source, command: str | None) -> None:
    from rich.console import Console

    from reeltune.report.outlook import print_outlook

    print_outlook(_outlook(source), Console(), command=command)


def _outlook(source: Source) -> Outlook:
    from reeltune.report.console import track
    from reeltune.run.means import find_means
    from reeltune.run.outlook.page import look_ahead

    loaded = load_source(source)
    make_data(source)
    return look_ahead(loaded, find_means(loaded.config), track=track)
