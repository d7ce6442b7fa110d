"""`reeltune <command>`: reads the command line, runs a command, turns failures into messages and exit statuses.

Exit status: 0 finished, or stopped on request with a whole checkpoint; 2 the configuration, the data or the machine is
unfit, found before training; 1 anything else.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from reeltune import __version__
from reeltune.cli.failures import explain
from reeltune.errors import ReeltuneError

log = logging.getLogger(__name__)

COMMANDS = (
    "configure",
    "plan",
    "prepare",
    "train",
    "data",
    "cache",
    "inspect",
    "export",
    "options",
    "examples",
    "doctor",
)
"""In the order in which they are needed. Module `reeltune.cli.<command>` has LINE, its line of help,
`add_arguments(parser)`, and `run(arguments, words) -> status`."""

VERBOSE = "say more, for finding faults"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit status."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(words)
    if arguments.command is None:
        parser.print_help()
        return 2
    from reeltune.log import set_up_logging

    set_up_logging(verbose=arguments.verbose)
    module = _module(arguments.command)
    try:
        return module.run(arguments, rest)
    except ReeltuneError as error:
        print(f"reeltune: {error}", file=sys.stderr)
        log.debug("where it came from", exc_info=error)
        return error.exit_status
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; Python's own last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("reeltune: stopped at once; the last whole checkpoint is kept", file=sys.stderr)
        return 1
    except Exception as error:
        return _ended_by(error)


def _ended_by(error: Exception) -> int:
    """Say what ended a command that no room had words for, and return the exit status."""
    message = explain(error)
    if message is None:
        log.error("an error in reeltune itself, please report it", exc_info=error)
        return 1
    print(f"reeltune: {message}", file=sys.stderr)
    log.debug("where it came from", exc_info=error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reeltune", description="Fine-tune Wan 2.1 text-to-video models.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"reeltune {__version__}")
    parser.add_argument("--verbose", action="store_true", help=VERBOSE)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name in COMMANDS:
        module = _module(name)
        command = commands.add_parser(name, help=module.LINE, description=module.LINE, allow_abbrev=False)
        # Without a default: the one of a command would undo the flag that was given before the command.
        command.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=VERBOSE)
        module.add_arguments(command)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"reeltune.cli.{command}")
