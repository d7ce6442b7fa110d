"""`reeltune cache <what>`: what the caches hold, whether it is whole, and what of it nobody needs any more."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType

LINE = "look at encoded clips and captions: what is used, what is damaged, what nobody needs"

ACTS = ("stats", "verify", "gc")
"""Module `reeltune.cli.cache.<act>` has LINE, `add_arguments(parser)` and `run(arguments, words) -> status`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    acts = parser.add_subparsers(dest="act", metavar="act", required=True)
    for name in ACTS:
        module = _module(name)
        act = acts.add_parser(name, help=module.LINE, description=module.LINE, allow_abbrev=False)
        act.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="say more")
        module.add_arguments(act)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Do one of the acts."""
    return _module(arguments.act).run(arguments, words)


def _module(act: str) -> ModuleType:
    return importlib.import_module(f"reeltune.cli.cache.{act}")
