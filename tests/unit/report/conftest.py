"""A terminal to look at, and the package's log to read."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

OPENING = """
    import logging, sys, time
    from pathlib import Path
    from reeltune.contracts.events import *
    from reeltune.log import set_up_logging
    from reeltune.report.console import TrainingConsole, track
    set_up_logging()
    log = logging.getLogger("reeltune.test")
"""
TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


@dataclass(frozen=True)
class Screen:
    """What a program left on a terminal that was tall enough never to scroll. raw: every byte that it received.

    widest: the length of the longest line that was ever shown.
    """

    status: int
    raw: str
    lines: list[str]
    widest: int
    cursor_visible: bool


def draw(raw: str, status: int) -> Screen:
    """Show output as a terminal would: only what rich uses, and an error for anything else."""
    lines, row, column, widest, visible = [""], 0, 0, 0, True
    for numbers, command, move, text in TOKEN.findall(raw):
        if text:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
            widest = max(widest, len(lines[row]))
        elif move == "\r":
            column = 0
        elif move == "\n":
            row += 1
            lines.extend([""] * (row + 1 - len(lines)))
        elif command == "K":
            lines[row] = ""
        elif command == "A":
            row -= int(numbers or 1)
        elif numbers == "?25":
            visible = command == "h"
        else:
            assert command == "m", (numbers, command)
    return Screen(status, raw, [line.rstrip() for line in lines], widest, visible)


@pytest.fixture
def on_a_terminal(tmp_path: Path) -> Callable[..., Screen]:
    """Run Python code with stderr on a terminal and stdout in `tmp_path/stdout`; Ctrl-C comes when it says READY."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")

    def run(code: str, *, columns: int = 80, **environment: str) -> Screen:
        import fcntl
        import struct
        import termios

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 100, columns, 0, 0))
        settings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        with (tmp_path / "stdout").open("wb") as stdout:
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(OPENING) + textwrap.dedent(code)],
                stdout=stdout,
                stderr=theirs,
                env={**settings, "TERM": "xterm-256color", **environment},
            )
        os.close(theirs)
        raw = b""
        while chunk := _read(ours):
            raw += chunk
            if b"READY" in raw and b"READY" not in raw.removesuffix(chunk):
                process.send_signal(signal.SIGINT)
        os.close(ours)
        return draw(raw.decode(), process.wait())

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody holds the other end any more
        return b""


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The log lines of the package while the test runs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    package = logging.getLogger("reeltune")
    level = package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    yield lines
    package.removeHandler(handler)
    package.setLevel(level)


@dataclass
class Time:
    """A clock that stands until it is moved."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Time:
    return Time()
