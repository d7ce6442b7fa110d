"""`reeltune configure`: a few questions, a look at the clips and at the GPU, and both files are written.

The options are declared in `config`; what is here is which of them are asked, and which values are good where.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reeltune.cli.source import DEFAULT_CONFIG
from reeltune.errors import ConfigError

LINE = "write the configuration: asks little, looks at your clips and GPU"

GOALS = ("character", "style", "motion", "concept")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "reeltune configure [options] [FILE] [name=value ...]"
    parser.add_argument("--yes", action="store_true", help="ask nothing, take every default: for scripts")
    parser.add_argument("--data", metavar="FOLDER", help="the folder of clips")
    parser.add_argument("--goal", choices=GOALS, help="what is to be learnt")
    parser.add_argument("--model", metavar="MODEL", help="1.3b, 14b, or a folder or hub repository")
    parser.add_argument("--output", metavar="DIR", help="the folder of the results")
    parser.add_argument("--gpu", metavar="GB", type=int, help="memory of the GPU that will train, when it is elsewhere")
    parser.epilog = (
        f"FILE is written, or edited where it is there; default {DEFAULT_CONFIG}. "
        "Any option can follow, as name=value: it goes into the file as it is."
    )


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Ask, show the plan, and write both files after a yes; nothing is written before."""
    file, options = _split(words)
    if not arguments.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "configure asks questions, and there is no terminal to ask them in. "
            "Take every default with: reeltune configure --yes --data FOLDER"
        )
    from reeltune.cli.configure.questions import Defaults, Terminal
    from reeltune.cli.configure.talk import Graphics, Wishes
    from reeltune.cli.configure.wizard import configure, read_overrides
    from reeltune.cli.failures import before_training
    from reeltune.cli.plan import show_plan
    from reeltune.machine.gpu import find_gpus

    wishes = Wishes(
        data=arguments.data,
        goal=arguments.goal,
        model=arguments.model,
        output=arguments.output,
        gpu_gb=arguments.gpu,
        options=read_overrides(options),
    )
    asker = Defaults() if arguments.yes else Terminal()
    here = [Graphics(gpu.name, gpu.memory_bytes / 2**30) for gpu in find_gpus()]
    try:
        with before_training():
            return configure(file, wishes, asker=asker, here=here, show_plan=show_plan)
    except (KeyboardInterrupt, EOFError):
        print("reeltune: stopped; the configuration is as it was", file=sys.stderr)
        return 1


def _split(words: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the file, which is the first word where that is no option, and the options."""
    if words and not words[0].startswith("--") and "=" not in words[0]:
        return Path(words[0]), list(words[1:])
    return DEFAULT_CONFIG, list(words)
