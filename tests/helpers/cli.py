"""The command as users run it: in a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reeltune.cli.main import main


def reeltune(
    *words: str, cwd: Path, environment: dict[str, str] | None = None, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `reeltune` with these words to its end."""
    return subprocess.run(
        [sys.executable, "-m", "reeltune", *words],
        cwd=cwd,
        env=os.environ | (environment or {}),
        text=True,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )


@dataclass(frozen=True)
class Ending:
    """How a command in this process ended."""

    returncode: int
    stderr: str


def reeltune_here(*words: str, cwd: Path) -> Ending:
    """Run `reeltune` in this process, where its libraries are loaded already: for commands that end early."""
    errors = io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        status = main(words)
    return Ending(status, errors.getvalue())


def start_reeltune(*words: str, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `reeltune` and return while it runs; what it prints goes to a file."""
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, "-m", "reeltune", *words], cwd=cwd, stdout=output, stderr=output)
