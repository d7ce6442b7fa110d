"""`reeltune data <what>`: look at the data as training will see it."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType

LINE = "look at the data as training will see it: files, captions, frames, what broke"

VIEWS = ("manifest", "captions", "sheet", "quarantine")
"""Module `reeltune.cli.data.<view>` has LINE, `add_arguments(parser)` and `run(arguments, words) -> status`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    views = parser.add_subparsers(dest="view", metavar="view", required=True)
    for name in VIEWS:
        module = _module(name)
        view = views.add_parser(name, help=module.LINE, description=module.LINE, allow_abbrev=False)
        view.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="say more")
        module.add_arguments(view)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show one view of the data."""
    return _module(arguments.view).run(arguments, words)


def _module(view: str) -> ModuleType:
    return importlib.import_module(f"reeltune.cli.data.{view}")
