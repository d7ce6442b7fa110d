"""Processes that look at files in our stead. One that hangs is killed, one that dies is replaced; the file is named."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from reeltune.contracts.clip import ClipInfo
from reeltune.data.regular import Stamp
from reeltune.errors import DataError, UnreadableFile

START_LIMIT_S = 120.0
"""A busy machine may take long to start a process."""

COMMAND = (sys.executable, "-P", "-m", "reeltune.data.inspection_worker")
"""Starts a process, with its socket's number behind. -P: no file in the working directory is taken for a module."""

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class HungOrCrashed(UnreadableFile):
    """A file that took a process with it: not worth its price at every start."""


class Inspector:
    """One process, from its start to `end`."""

    def __init__(self) -> None:
        self._ours, theirs = Pipe()
        # A process of its own kind, not multiprocessing's: that would run the caller's main module again.
        surroundings = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **dict.fromkeys(_ONE_THREAD, "1"),
        }
        self._process = subprocess.Popen(
            [*COMMAND, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | surroundings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self._started = False

    def look(self, path: Path, listed: Stamp | None, *, limit_s: float) -> ClipInfo:
        """Return what a file holds. Raises UnreadableFile; HungOrCrashed, and then this process is no longer there."""
        self._await_start()
        try:
            self._ours.send((path, listed, limit_s))
            if not self._ours.poll(limit_s):
                self.end()
                raise HungOrCrashed(path, f"takes longer than {limit_s:g} s to read; convert it to H.264 mp4")
            answer = self._ours.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise HungOrCrashed(path, "its decoder crashed; copy it again or convert it to H.264 mp4") from error
        if isinstance(answer, str):
            raise UnreadableFile(path, answer)
        return answer

    @property
    def is_there(self) -> bool:
        return self._process.returncode is None

    def end(self) -> None:
        """Leave no process behind. It keeps nothing that a sudden end could spoil."""
        self._process.kill()
        self._process.wait()

    def _await_start(self) -> None:
        if self._started:
            return
        try:
            self._started = self._ours.poll(START_LIMIT_S) and bool(self._ours.recv())
        except (EOFError, OSError):
            self._started = False
        if not self._started:
            self.end()
            raise DataError(f"no process could be started to look at clips; `{' '.join(COMMAND)} 0` shows why")


class Inspectors:
    """So many processes at most, each started when it is first needed; for use by as many threads."""

    def __init__(self, number: int) -> None:
        self._idle: SimpleQueue[Inspector | None] = SimpleQueue()
        self._all: list[Inspector] = []
        self._lock, self._closed = Lock(), False
        for _ in range(number):
            self._idle.put(None)

    def look(self, path: Path, listed: Stamp | None, *, limit_s: float) -> ClipInfo:
        """Have a file looked at by a process that is free. Raises UnreadableFile."""
        inspector = self._idle.get()
        try:
            inspector = inspector if inspector and inspector.is_there else self._started()
            return inspector.look(path, listed, limit_s=limit_s)
        finally:
            self._idle.put(inspector)

    def close(self) -> None:
        """End all processes; a thread that waits for one gets an UnreadableFile, and no other is started."""
        with self._lock:
            self._closed = True
            for inspector in self._all:
                inspector.end()

    def _started(self) -> Inspector:
        with self._lock:
            if self._closed:
                raise DataError("looking at clips was ended")
            self._all = [inspector for inspector in self._all if inspector.is_there]
            self._all.append(Inspector())
            return self._all[-1]
