"""Which configuration a command is about: `--config FILE`, `--env NAME` or `--example NAME`, and options that win.

Each may also be written `config=FILE`, `env=NAME`, `example=NAME`. Relative paths are relative to the working folder.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.examples_folder import examples_folder, find_example
from reeltune.errors import ConfigError

if TYPE_CHECKING:
    from reeltune.config.load import Loaded
    from reeltune.contracts.notes import Note

DEFAULT_CONFIG = Path("config/config.json")
USUAL_DATASETS = Path("config/multidatabackend.json")

SOURCES = ("config", "env", "example")
"""What names the configuration."""

ENVIRONMENT = ("REELTUNE_ENV", "SIMPLETUNER_ENVIRONMENT", "SIMPLETUNER_ENV")
"""Environment variables that name an environment as --env does; the first that is set counts."""


@dataclass(frozen=True)
class Source:
    """Where the configuration comes from: one file, or one and an environment's over it. example: its name, if any."""

    paths: tuple[Path, ...]
    overrides: dict[str, str | bool]
    example: str | None = None

    def announcement(self) -> str:
        if self.example:
            return f"Running the bundled example '{self.example}': {self.paths[0]}"
        return f"Configuration: {', then '.join(map(str, self.paths))}"


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"configuration file; default {DEFAULT_CONFIG}")
    parser.add_argument("--env", metavar="NAME", help="read config/NAME/config.json; with --config, over that file")
    parser.add_argument("--example", metavar="NAME", help="use a bundled example, such as tiny")
    parser.epilog = (
        "Any option can follow, as name=value or --name value; it wins over the file. "
        "`reeltune options WORDS` finds options."
    )


def find_source(arguments: argparse.Namespace, words: Sequence[str]) -> Source:
    """Return where the configuration is. Raises ConfigError when it is not there, or named twice."""
    from reeltune.config.words import parse_overrides

    overrides = parse_overrides(words, also=SOURCES)
    named = {kind: _named(kind, getattr(arguments, kind), overrides) for kind in SOURCES}
    config, env, example = (named[kind] for kind in SOURCES)
    if example:
        if config or env:
            raise ConfigError("command line: --example names a configuration of its own; leave out --config and --env")
        return Source((find_example(example) / "config.json",), overrides, example)
    env = env or (None if config else _from_environment())
    if config is None and env is None:
        return Source((_existing(DEFAULT_CONFIG),), overrides)
    places = ([Path(config)] if config else []) + ([Path("config") / env / "config.json"] if env else [])
    return Source(tuple(_existing(place) for place in places), overrides)


def load_source(source: Source) -> Loaded:
    """Read the configuration and the files that it names. Raises ConfigError that lists all problems."""
    from reeltune.config.load import load_run

    return load_run(source.paths, source.overrides, find_datasets=find_datasets)


def find_datasets(name: str) -> tuple[Path, list[Note]]:
    """Return where the dataset file is: as named, among the bundled examples, or where it usually is, with a note."""
    from reeltune.contracts.notes import Note

    path = Path(name).expanduser()
    if path.exists():
        return path, []
    bundled = examples_folder().parent / path
    if path.parts[:1] == ("examples",) and bundled.exists():
        return bundled, []
    if path.name == USUAL_DATASETS.name and USUAL_DATASETS.exists():
        return USUAL_DATASETS, [
            Note("trap", "data_backend_config", f"{path} does not exist; {USUAL_DATASETS} is used instead")
        ]
    return path, []


def command(verb: str, arguments: argparse.Namespace, words: Sequence[str], *, leave_out: Collection[str] = ()) -> str:
    """Return what to type to do something with the same configuration: as it was typed, without secrets.

    leave_out: options that are not to be repeated.
    """
    flags = [word for kind in SOURCES if (value := getattr(arguments, kind)) for word in (f"--{kind}", str(value))]
    kept = _without(words, {*leave_out, *_secret_names()})
    # A script that starts training says how it is called itself.
    called = os.environ.get("REELTUNE_COMMAND") if verb == "train" else None
    return " ".join([called or f"reeltune {verb}", shlex.join([*flags, *kept])]).strip()


def _secret_names() -> set[str]:
    from reeltune.config.option import told
    from reeltune.config.root import all_options

    return {name for _, name, field in all_options() if told(field, "secret")}


def _without(words: Sequence[str], names: Collection[str]) -> list[str]:
    """Return the words but for those that give one of the options, as name=value or as --name value."""
    kept: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.removeprefix("--").partition("=")
        if name.replace("-", "_") not in names:
            kept.append(word)
        elif not equals and rest and not rest[0].startswith("--"):
            rest.pop(0)
    return kept


def _named(kind: str, flag: object, overrides: dict[str, str | bool]) -> str | None:
    """Take one kind of source out of the flags and the overrides."""
    word = overrides.pop(kind, None)
    if flag is not None and word is not None and str(word) != str(flag):
        raise ConfigError(f"command line: --{kind} {flag} and {kind}={word} each name a configuration; keep one")
    value = flag if flag is not None else word
    # Empty, as from a variable of a shell that is not set: to take another configuration instead would be a guess.
    if value is True or str(value) == "":
        raise ConfigError(f"command line: {kind} needs a value: --{kind} NAME")
    return None if value is None else str(value)


def _from_environment() -> str | None:
    return next((value for name in ENVIRONMENT if (value := os.environ.get(name))), None)


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    environments = sorted(place.parent.name for place in Path("config").glob("*/config.json"))
    known = f" Environments there are: {', '.join(environments)}." if environments and path != DEFAULT_CONFIG else ""
    raise ConfigError(
        f"{path} does not exist in {Path.cwd()}.{known} Name one with --config FILE, write one with "
        "`reeltune configure`, or try the bundled example: reeltune train --example tiny"
    )
