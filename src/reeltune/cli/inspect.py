"""`reeltune inspect FILE`: what an adapter or a transformer is, what it fits, and how much it changes where."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reeltune.errors import ConfigError

LINE = "what an adapter file is: base, layout, rank, layers, and how much it changes each block"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .safetensors file, a run folder, a checkpoint, or a transformer"
    )
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="a base that the adapter must fit, and whose weights its changes are compared with: a folder, a "
        ".safetensors file or a repository",
    )
    parser.add_argument("--json", action="store_true", help="print everything for programs")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show what is in a file. Raises ModelError for one that cannot be read, or does not fit the base."""
    if words:
        raise ConfigError(f"command line: {' '.join(words)} is too much; see reeltune inspect --help")
    from reeltune.cli.train import quiet_threads

    quiet_threads()
    from reeltune.report.adapter_page import report_json
    from reeltune.report.console import track
    from reeltune.run.inspecting.inspection import look_at

    report = look_at(arguments.file.expanduser(), base=arguments.base, track=track)
    if arguments.json:
        print(report_json(report))
        return 0
    from reeltune.cli.data.page import paper, show
    from reeltune.contracts.adapter_report import AdapterReport
    from reeltune.report.adapter_page import adapter_lines, transformer_lines

    on = paper()
    show(adapter_lines(report, on) if isinstance(report, AdapterReport) else transformer_lines(report, on))
    return 0
