"""`reeltune train`: find the configuration, run it, and say where everything is."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.examples import examples_folder, find_example, make_example
from reeltune.cli.failures import before_training
from reeltune.errors import ConfigError

if TYPE_CHECKING:
    from reeltune.config.datasets import Datasets
    from reeltune.config.root import Config

log = logging.getLogger(__name__)

DEFAULT_CONFIG = Path("config/config.json")

SOURCES = ("config", "env", "example")
"""What names the configuration: `--config FILE` or `config=FILE`, and so on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--config", type=Path, metavar="FILE", help=f"configuration file; default {DEFAULT_CONFIG}")
    source.add_argument("--env", metavar="NAME", help="read config/NAME/config.json")
    source.add_argument("--example", metavar="NAME", help="run a bundled example, such as tiny")
    parser.epilog = "Any option can follow, as name=value or --name value; it wins over the file."


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Train as the arguments say; `words` are options that win over the file."""
    quiet_threads()
    with before_training():
        config, datasets = _prepare(arguments, words)
    command = _command(arguments, words)

    from reeltune.report.console import TrainingConsole, track
    from reeltune.report.ending import last_screen
    from reeltune.report.journal import Journal
    from reeltune.run.training import train

    outcome = train(
        config,
        datasets,
        track=track,
        sinks_for=lambda folder: [TrainingConsole(), Journal(folder / "events.jsonl")],
    )
    print(last_screen(outcome, command))
    return 0


def quiet_threads() -> None:
    """Keep idle threads from spinning; called before torch is imported. A user's own settings stand.

    OpenMP threads that wait by spinning make a step many times slower once another process wants the same cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _prepare(arguments: argparse.Namespace, words: Sequence[str]) -> tuple[Config, Datasets]:
    """Read what is to be trained, say so, and make the bundled example where it is asked for."""
    from reeltune.config.datasets import settings_without_effect
    from reeltune.config.load import load_run
    from reeltune.config.words import parse_overrides

    overrides = parse_overrides(words, also=SOURCES)
    source = _source(arguments, overrides)
    path = _config_path(source)
    config, datasets = load_run(path, overrides, find_datasets=_datasets_path)
    _announce(path, source)
    for sentence in settings_without_effect(datasets):
        log.warning("%s", sentence)
    if source.kind == "example":
        make_example(source.name, lambda line: print(line, flush=True))
    return config, datasets


def _command(arguments: argparse.Namespace, words: Sequence[str]) -> str:
    """Return what to type to go on with this run: as it was typed, but for a wish to start afresh."""
    flags = [word for kind in SOURCES if (value := getattr(arguments, kind)) for word in (f"--{kind}", str(value))]
    kept = [word for word in words if not word.removeprefix("--").startswith("resume_from_checkpoint=")]
    # A script that calls this command says how it is called itself.
    return " ".join([os.environ.get("REELTUNE_COMMAND", "reeltune train"), shlex.join([*flags, *kept])]).strip()


@dataclass(frozen=True)
class _Source:
    """Which of SOURCES was named, and its value."""

    kind: str
    name: str


def _source(arguments: argparse.Namespace, overrides: dict[str, str | bool]) -> _Source:
    """Take what names the configuration out of the arguments and the overrides. Raises ConfigError for two of them."""
    flags = {f"--{kind} {value}": _Source(kind, str(value)) for kind in SOURCES if (value := getattr(arguments, kind))}
    named = {kind: overrides.pop(kind) for kind in SOURCES if kind in overrides}
    given = flags | {f"{kind}={value}": _Source(kind, str(value)) for kind, value in named.items()}
    if len(given) > 1:
        raise ConfigError(f"command line: {' and '.join(given)} each name a configuration; keep one of them")
    return next(iter(given.values()), _Source("config", str(DEFAULT_CONFIG)))


def _config_path(source: _Source) -> Path:
    if source.kind == "example":
        return find_example(source.name) / "config.json"
    if source.kind == "env":
        return Path("config") / source.name / "config.json"
    path = Path(source.name)
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist in {Path.cwd()}. Name one with --config FILE, "
            "or try the bundled example: reeltune train --example tiny"
        )
    return path


def _announce(path: Path, source: _Source) -> None:
    example = f"Running the bundled example '{source.name}': {path}"
    print(example if source.kind == "example" else f"Configuration: {path}", flush=True)


def _datasets_path(name: str) -> Path:
    """Return where the dataset file is: as named, or among the bundled examples."""
    path = Path(name).expanduser()
    bundled = examples_folder().parent / path
    return bundled if not path.exists() and path.parts[:1] == ("examples",) and bundled.exists() else path
