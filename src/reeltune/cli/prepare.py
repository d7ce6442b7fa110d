"""`reeltune prepare`: encode captions and clips ahead of training, on this machine or for another one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from reeltune.cli.failures import before_training
from reeltune.cli.source import add_source_arguments, command
from reeltune.cli.train import opened

LINE = "encode captions and clips into the caches, and stop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Fill the caches that training will read."""
    with before_training():
        loaded = opened(arguments, words)
        from reeltune.report.console import track
        from reeltune.run.training import prepare

        prepared = prepare(loaded, track=track)
    clips, prompts = len(prepared.items) + len(prepared.held_out), len(prepared.prompt_keys)
    start = command("train", arguments, words)
    print(f"Ready: {clips} clips and {prompts} texts are encoded. Start with: {start}")
    return 0
