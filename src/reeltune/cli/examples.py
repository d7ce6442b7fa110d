"""`reeltune examples`: the bundled examples, to look at and to start from."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from reeltune.cli.examples_folder import find_example, known_examples
from reeltune.errors import ConfigError

LINE = "list the bundled examples, or copy one to start from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="name the examples", description="Name the examples.")
    copy = actions.add_parser("copy", help="copy an example", description="Copy an example's files.")
    copy.add_argument("name", help="of the example")
    copy.add_argument("folder", nargs="?", type=Path, help="where to; default config/NAME, which --env NAME reads")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """List the examples, or copy one. Raises ConfigError for a name that is none, and for a place that is taken."""
    if words:
        raise ConfigError(f"command line: {' '.join(words)} is too much; see reeltune examples --help")
    if arguments.action == "list":
        for folder in known_examples():
            print(f"  {folder.name:<16} {_first_line(folder)}")
        print("\nRun one: reeltune train --example NAME. Start from one: reeltune examples copy NAME")
        return 0
    source, place = find_example(arguments.name), arguments.folder or Path("config") / arguments.name
    copy_example(source, place)
    print(f"Copied to {place}. Edit {place / 'config.json'}, then: reeltune plan --config {place / 'config.json'}")
    return 0


def copy_example(source: Path, place: Path) -> None:
    """Copy an example's files; its configuration then names the copied dataset file."""
    if place.exists():
        raise ConfigError(f"{place} exists already; name another folder: reeltune examples copy {source.name} FOLDER")
    shutil.copytree(source, place)
    config = place / "config.json"
    text = config.read_text(encoding="utf-8")
    named = f"examples/{source.name}/"
    # Only the path inside quotes: comments and layout stay as they are.
    copied = json.dumps(f"{place.as_posix()}/", ensure_ascii=False)[:-1]
    config.write_text(text.replace(f'"{named}', copied), encoding="utf-8")


def _first_line(folder: Path) -> str:
    """Return what the example's own page says first, without its name."""
    heading = (folder / "README.md").read_text(encoding="utf-8").splitlines()[0]
    return heading.lstrip("# ").partition(": ")[2] or heading.lstrip("# ")
