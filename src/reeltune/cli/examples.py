"""`reeltune examples`: the bundled examples, to look at and to start from."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from reeltune.cli.examples_folder import find_example, known_examples, makes_its_own
from reeltune.cli.failures import before_training
from reeltune.errors import ConfigError

LINE = "list the bundled examples, or copy one to start from"

CONFIGS = Path("config")
"""Where `--env NAME` looks for NAME/config.json."""


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
            print(f"  {folder.name:<16} {_what_it_is(folder)}")
        print("\nRun one: reeltune train --example NAME. Start from one: reeltune examples copy NAME")
        return 0
    source = find_example(arguments.name)
    place = arguments.folder or CONFIGS / source.name
    with before_training():
        copy_example(source, place)
    print(_next_steps(source.name, place))
    return 0


def copy_example(source: Path, place: Path) -> None:
    """Copy an example's files; those that name each other then name the copies.

    Raises ConfigError where `place` is taken.
    """
    if place.exists():
        raise ConfigError(f"{place} exists already; name another folder: reeltune examples copy {source.name} FOLDER")
    shutil.copytree(source, place)
    # Only the beginning of a path in quotes: comments and layout stay as they are.
    original, copied = f'"examples/{source.name}/', json.dumps(f"{place.as_posix()}/", ensure_ascii=False)[:-1]
    for file in sorted(place.rglob("*.json")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(original, copied), encoding="utf-8")


def _next_steps(name: str, place: Path) -> str:
    config = place / "config.json"
    source = f"--env {name}" if place == CONFIGS / name else f"--config {shlex.quote(str(config))}"
    lines = [f"Copied to {place}. Edit {config}, then: reeltune plan {source}"]
    if makes_its_own(name):
        lines.append(f"The clips and the model that it names are made by: reeltune plan --example {name}")
    return "\n".join(lines)


def _what_it_is(folder: Path) -> str:
    """Return the heading of the example's own page, without its name."""
    heading = (folder / "README.md").read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return heading.partition(": ")[2] or heading
