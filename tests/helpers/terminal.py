"""A command on a terminal of its own: keys go in, and what stands on the screen is read."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

import pyte

ROWS, COLUMNS = 60, 110

ENTER, DOWN, UP, CLEAR_LINE, CTRL_C, CTRL_D = "\r", "\x1b[B", "\x1b[A", "\x15", "\x03", "\x04"


class _Screen(pyte.Screen):
    """Answers what a program asks of its terminal, such as where the cursor is."""

    keyboard = -1

    def write_process_input(self, data: str) -> None:
        os.write(self.keyboard, data.encode())


class Terminal:
    """`reeltune WORDS` on a pseudo-terminal; leaving the block ends it."""

    def __init__(self, *words: str, cwd: Path, environment: dict[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reeltune", *words],
            cwd=cwd,
            env=os.environ | {"TERM": "xterm-256color"} | (environment or {}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._screen = _Screen(COLUMNS, ROWS)
        self._screen.keyboard = self._master
        self._stream = pyte.ByteStream(self._screen)
        self.printed = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, text: str, *, timeout_s: float = 60) -> None:
        """Return once the text stands on the screen, in one line."""
        until = time.monotonic() + timeout_s
        while not any(text in line for line in self._screen.display):
            assert time.monotonic() < until, f"{text!r} did not come:\n{self.screen}"
            assert self._read(0.2), f"the program ended before {text!r}:\n{self.screen}"

    def finish(self, *, timeout_s: float = 60) -> int:
        """Return the exit status."""
        until = time.monotonic() + timeout_s
        while self._read(0.2):
            assert time.monotonic() < until, f"it did not end:\n{self.screen}"
        return self.process.wait(timeout_s)

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).strip()

    def _read(self, wait_s: float) -> bool:
        """Take in what was printed; False once nothing can come any more."""
        if not select.select([self._master], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other end is closed.
            return False
        self.printed += data
        self._stream.feed(data)
        return bool(data)
