"""A worker beside the run: what is slow, or may fail, happens on its own thread, and the loop never waits for it.

The price is that a message may be lost: when the queue is full, when all tries are used up, or when the time that
`close` grants is over. Each of these is said.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reeltune.secrets import without_secrets

log = logging.getLogger(__name__)

Job = Callable[[], object]


class TryAgain(Exception):
    """A job could not be done now, but may be later. after_s: when, where that is known."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True)
class _Waiting:
    kind: str
    job: Job


class Background:
    """Does jobs one after the other on a thread that starts with the first.

    name: of the listener that owns it, for people. room: jobs that may wait. waits: seconds before each further try of
    a job that raises TryAgain.
    """

    def __init__(self, name: str, *, room: int = 1000, waits: Sequence[float] = (1.0, 4.0, 15.0)) -> None:
        self._name = name
        self._room = room
        self._waits = tuple(waits)
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._said: set[str] = set()

    def submit(self, kind: str, job: Job, *, instead: bool = False) -> None:
        """Put a job at the end of the queue; never waits. kind: what it is, for people; its failures are told once.

        instead: in place of the job of this kind that is still waiting, if there is one.
        """
        with self._changed:
            if self._deadline is not None:
                return
            if instead:
                self._waiting = deque(one for one in self._waiting if one.kind != kind)
            self._waiting.append(_Waiting(kind, job))
            full = len(self._waiting) > self._room
            if full:
                self._waiting.popleft()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if full:
            self._say_once("full", f"is too slow: more than {self._room} messages wait, and the oldest are dropped")

    def pause(self, seconds: float) -> bool:
        """Let the worker wait; cut short when the time that `close` grants ends first, which gives False."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                now = time.monotonic()
                if self._deadline is not None and self._deadline < end:
                    return False
                if now >= end:
                    return True
                self._changed.wait(end - now)

    def close(self, wait_s: float) -> None:
        """Finish what is waiting, for at most so many seconds, and give up the rest. Closing again does nothing."""
        with self._changed:
            if self._deadline is not None:
                return
            self._deadline = time.monotonic() + wait_s
            self._changed.notify_all()
        if self._thread is None:
            return
        self._thread.join(min(wait_s, 1.0))
        if self._thread.is_alive() and wait_s > 1.0:
            log.info("%s: finishing what is left, for at most %g s", self._name, wait_s)
            self._thread.join(wait_s - 1.0)
        if self._thread.is_alive():
            with self._changed:
                # One is being done, or it would not be alive.
                left = 1 + len(self._waiting)
                self._waiting.clear()
            log.warning("%s was not done after %g s: %d messages are given up", self._name, wait_s, left)

    def _work(self) -> None:
        while (one := self._next()) is not None:
            try:
                self._try(one.job)
            except Exception as error:  # whatever a listener's job does, the worker and the run go on
                self._report(one.kind, error)

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
            return self._waiting.popleft() if self._waiting else None

    def _try(self, job: Job) -> None:
        for wait in self._waits:
            try:
                job()
                return
            except TryAgain as error:
                if not self.pause(wait if error.after_s is None else error.after_s):
                    raise
        job()

    def _report(self, kind: str, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        log.debug("%s, %s: %s", self._name, kind, without_secrets(trace))
        reason = without_secrets(str(error)) or type(error).__name__
        self._say_once(kind, f"failed ({kind}): {reason}. The run goes on; further failures of this kind are not shown")

    def _say_once(self, kind: str, what: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning("%s %s", self._name, what)
