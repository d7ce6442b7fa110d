"""`reeltune train`: find the configuration, run it, and say where everything is."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reeltune.cli.examples_folder import make_example
from reeltune.cli.failures import before_training
from reeltune.cli.source import Source, add_source_arguments, command, find_source, load_source

if TYPE_CHECKING:
    from reeltune.config.load import Loaded

LINE = "train an adapter: clips in, LoRA out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Train as the arguments say; `words` are options that win over the file."""
    with before_training():
        loaded = opened(arguments, words)
    from reeltune.cli.listeners import listeners
    from reeltune.report.console import track
    from reeltune.report.ending import last_screen
    from reeltune.run.means import find_means
    from reeltune.run.training import train

    means = find_means(loaded.config)
    outcome = train(loaded, means, track=track, sinks_for=lambda folder: listeners(loaded.config, means, folder))
    print(last_screen(outcome, command("train", arguments, words, leave_out={"resume_from_checkpoint"})))
    return 0


def opened(arguments: argparse.Namespace, words: Sequence[str]) -> Loaded:
    """Read the configuration of a command that computes, say which it is, and make a bundled example's data."""
    quiet_threads()
    source = find_source(arguments, words)
    loaded = load_source(source)
    print(source.announcement(), flush=True)
    make_data(source, lambda line: print(line, flush=True))
    return loaded


def quiet_threads() -> None:
    """Keep idle threads from spinning; called before torch is imported. A user's own settings stand.

    OpenMP threads that wait by spinning make a step many times slower once another process wants the same cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def make_data(source: Source, say: Callable[[str], None]) -> None:
    """Make the data and the model of a bundled example, where it makes its own."""
    if source.example:
        make_example(source.example, say)
