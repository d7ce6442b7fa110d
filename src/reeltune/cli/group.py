"""Commands of two words, `reeltune <group> <act>`: each act is a module of the group's package."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Group:
    """Module `<package>.<act>` has LINE, `add_arguments(parser)` and `run(arguments, words) -> status`."""

    package: str
    acts: tuple[str, ...]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", metavar="act", required=True)
        for name in self.acts:
            module = self._module(name)
            act = acts.add_parser(name, help=module.LINE, description=module.LINE, allow_abbrev=False)
            act.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="say more")
            module.add_arguments(act)

    def run(self, arguments: argparse.Namespace, words: Sequence[str]) -> int:
        """Do one of the acts."""
        return self._module(arguments.act).run(arguments, words)

    def _module(self, act: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{act}")
