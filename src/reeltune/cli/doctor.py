"""`reeltune doctor`: look at the machine, and at the configuration where there is one, and say what to mend."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from reeltune.cli.source import DEFAULT_CONFIG, SOURCES, add_source_arguments, find_source, load_source
from reeltune.errors import ConfigError
from reeltune.machine.check import Check
from reeltune.machine.packages import TORCH

LINE = "look at this machine, and say what is missing and what to type"

INSTALL = f"pip install --force-reinstall {TORCH}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the checks for programs")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Look at everything, print it, and return 0 when nothing failed, else 2."""
    checks = list(examine(lambda bfloat16: _configuration(arguments, words, bfloat16=bfloat16)))
    failed = [check for check in checks if check.state == "fail"]
    if arguments.json:
        print(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        show(checks)
    return 2 if failed else 0


def examine(configuration: Callable[[bool], Iterable[Check]]) -> Iterator[Check]:
    """Yield every check. configuration: those of what is to be run, given whether the device computes in bfloat16."""
    from reeltune.cli.doctor_checks import codec_check, hub_cache_check
    from reeltune.machine.checks import disk_check, login_checks, memory_check, package_checks, python_check
    from reeltune.machine.host import find_host, free_bytes
    from reeltune.machine.logins import hub_token_found, wandb_login_found

    yield python_check(sys.version_info[:3])
    bfloat16 = yield from _torch()
    yield memory_check(find_host())
    yield disk_check(str(Path.cwd()), free_bytes(Path.cwd()))
    yield codec_check()
    yield hub_cache_check()
    yield from package_checks()
    yield from login_checks(hub=hub_token_found(), wandb=wandb_login_found())
    yield from configuration(bfloat16)


def show(checks: Sequence[Check]) -> None:
    """Print the checks as aligned lines, and what to type below those that need it.

    A terminal sees colours, and no line that is wider than itself but for what to type, which stays whole to be copied.
    """
    from rich.console import Console
    from rich.text import Text

    from reeltune.cli.doctor_lines import check_lines

    console = Console(highlight=False)
    # On a pipe each check has a line, for programs that look for one.
    columns = console.width if console.is_terminal else sys.maxsize
    names = max(len(check.name) for check in checks)
    for check in checks:
        for line in check_lines(check, names=names, columns=columns):
            console.print(line, soft_wrap=True)
    failed = sum(check.state == "fail" for check in checks)
    ending = f"{failed} of {len(checks)} checks failed" if failed else "Nothing stands in the way."
    console.print(Text(ending, "bold red" if failed else "green"), soft_wrap=True)


def _torch() -> Iterator[Check]:
    """Yield what concerns PyTorch; return whether its device computes in bfloat16, as far as is known."""
    from reeltune.cli.train import quiet_threads

    quiet_threads()
    try:
        from reeltune.run.kernels import check_training_kernels
        from reeltune.run.torch_build import find_torch_build, torch_checks
    # Not only ImportError: a library of the system that is missing shows as OSError.
    except (ImportError, OSError) as error:
        yield Check("PyTorch", "fail", f"it cannot be imported: {error}", INSTALL)
        return True  # of the GPU nothing is known, so nothing is said against it
    from reeltune.machine.gpu import find_gpus

    build = find_torch_build()
    yield from torch_checks(build, find_gpus())
    yield from check_training_kernels(bfloat16=build.bfloat16)
    return build.bfloat16


def _configuration(arguments: argparse.Namespace, words: Sequence[str], *, bfloat16: bool) -> Iterator[Check]:
    """Yield the checks of the configuration that was named, or that lies at the usual place."""
    from reeltune.cli.doctor_checks import configuration_checks

    named = bool(words) or any(getattr(arguments, kind) for kind in SOURCES)
    try:
        source = find_source(arguments, words)
        loaded = load_source(source)
    except ConfigError as error:
        if named or DEFAULT_CONFIG.exists():
            yield Check("configuration", "fail", str(error))
        else:
            yield Check("configuration", "absent", f"no {DEFAULT_CONFIG} here", "reeltune configure")
        return
    yield Check("configuration", "ok", source.announcement().partition(": ")[2])
    yield from configuration_checks(loaded, bfloat16=bfloat16, made=source.example is not None)
