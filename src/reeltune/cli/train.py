"""`reeltune train`: find the configuration, run it, and say where everything is."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from reeltune.cli.examples import examples_folder, find_example, make_example
from reeltune.errors import ConfigError

DEFAULT_CONFIG = Path("config/config.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--config", type=Path, metavar="FILE", help=f"configuration file; default {DEFAULT_CONFIG}")
    source.add_argument("--env", metavar="NAME", help="read config/NAME/config.json")
    source.add_argument("--example", metavar="NAME", help="run a bundled example, such as tiny")
    parser.epilog = "Any option can follow, as name=value or --name value; it wins over the file."


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Train as the arguments say; `words` are options that win over the file."""
    quiet_threads()
    from reeltune.config.load import load_config, load_datasets, parse_overrides

    overrides = parse_overrides(words)
    example = arguments.example or overrides.pop("example", None)
    path = _config_path(arguments, overrides, example)
    config = load_config(path, overrides)
    datasets = load_datasets(_datasets_path(config.data.data_backend_config))
    _announce(path, example)
    if example:
        make_example(example, lambda line: print(line, flush=True))

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
    print(last_screen(outcome))
    return 0


def quiet_threads() -> None:
    """Keep idle threads from spinning; called before torch is imported. A user's own settings stand.

    OpenMP threads that wait by spinning make a step many times slower once another process wants the same cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _config_path(arguments: argparse.Namespace, overrides: dict[str, object], example: str | None) -> Path:
    environment = arguments.env or overrides.pop("env", None)
    if example:
        return find_example(example) / "config.json"
    if environment:
        return Path("config") / str(environment) / "config.json"
    path = arguments.config or DEFAULT_CONFIG
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist in {Path.cwd()}. Name one with --config FILE, "
            "or try the bundled example: reeltune train --example tiny"
        )
    return path


def _announce(path: Path, example: str | None) -> None:
    print(f"Running the bundled example '{example}': {path}" if example else f"Configuration: {path}", flush=True)


def _datasets_path(name: str) -> Path:
    """Return where the dataset file is: as named, or among the bundled examples."""
    path = Path(name).expanduser()
    bundled = examples_folder().parent / path
    return bundled if not path.exists() and path.parts[:1] == ("examples",) and bundled.exists() else path
