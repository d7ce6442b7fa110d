"""`reeltune plan`: what a run would do and take, in seconds, without loading weights unless they are to be measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import Source, add_source_arguments, command, find_source, load_source
from reeltune.cli.train import make_data, quiet_threads

if TYPE_CHECKING:
    from reeltune.contracts.outlook import Outlook
    from reeltune.run.measure import Measurement

LINE = "say what a run will do and what it takes, without starting it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the plan for programs")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="load the base model as well, and say what its weights take and how far rounding them moves its answers",
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Print the plan."""
    source = find_source(arguments, words)
    outlook = _outlook(source)
    if arguments.json:
        _print_json(outlook, _measured(source, outlook) if arguments.measure else None)
        return 0
    _show(outlook, command("train", arguments, words))
    if arguments.measure:
        print("", *_measured(source, outlook).in_words(), sep="\n")
    return 0


def show_plan(paths: Sequence[Path]) -> None:
    """Print the plan of configuration files that are not in use yet. Raises ReeltuneError."""
    _show(_outlook(Source(tuple(paths), {})), None)


def _show(outlook: Outlook, start: str | None) -> None:
    from rich.console import Console

    from reeltune.report.outlook import print_outlook

    print_outlook(outlook, Console(), command=start)


def _print_json(outlook: Outlook, measured: Measurement | None) -> None:
    from reeltune.report.outlook import outlook_json

    text = outlook_json(outlook)
    print(json.dumps(json.loads(text) | {"measured": asdict(measured)}, indent=2) if measured else text)


def _measured(source: Source, outlook: Outlook) -> Measurement:
    quiet_threads()
    from reeltune.run.measure import measure

    return measure(load_source(source), outlook)


def _outlook(source: Source) -> Outlook:
    from reeltune.report.console import track
    from reeltune.run.means import find_means
    from reeltune.run.outlook.page import look_ahead

    loaded = load_source(source)
    # The page alone is on the standard output, so that a program can read it.
    make_data(source, lambda line: print(line, file=sys.stderr, flush=True))
    return look_ahead(loaded, find_means(loaded.config), track=track)
