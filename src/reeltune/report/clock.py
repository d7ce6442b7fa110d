"""How far a piece of work has come, how fast it goes and how long it will take: numbers, and the words for them."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Counts units against wall time.

    unit: a plural that ends in s, such as clips. done: units that were there before, which say nothing about the rate.
    now: seconds from any start.
    """

    def __init__(self, unit: str, *, total: int, done: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = done
        self.now = now
        self._unit = unit
        self._first = done
        self._started = self._latest = now()
        self._stopped = False

    def restart(self) -> None:
        """Count from now on; what went before says nothing about the rate."""
        self._first = self.done
        self._started = self._latest = self.now()

    def advance(self) -> None:
        """Count one unit."""
        self.done += 1
        self._latest = self.now()
        self._stopped = self.finished

    def stop(self) -> None:
        """Say from now on how long the work took; a finished clock has stopped with its last unit."""
        if not self._stopped:
            self._stopped, self._latest = True, self.now()

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    @property
    def seconds(self) -> float:
        """From the start to the last unit, or to the stop."""
        return self._latest - self._started

    @property
    def count(self) -> str:
        return f"{self.done}/{self.total}"

    @property
    def rate(self) -> str:
        """Units per second, or seconds per unit when they are slow; empty before the first."""
        if not self._counted:
            return ""
        seconds = self._seconds_per_unit
        if seconds > 1:
            return f"{seconds:.1f} s/{self._unit.removesuffix('s')}"
        rate = 1 / max(seconds, 1e-9)
        return f"{rate:.1f} {self._unit}/s" if rate < 100 else f"{rate:.0f} {self._unit}/s"

    @property
    def time(self) -> str:
        """The time that is left; before the first unit the time so far, at the end the time it took."""
        if self._stopped:
            return f"took {duration(self.seconds)}"
        if not self._counted:
            return f"{clock_face(self.now() - self._started)} so far"
        left = self._seconds_per_unit * (self.total - self.done) - (self.now() - self._latest)
        return f"{clock_face(max(0.0, left))} left"

    @property
    def _counted(self) -> int:
        return self.done - self._first

    @property
    def _seconds_per_unit(self) -> float:
        return self.seconds / self._counted


def duration(seconds: float) -> str:
    """Return seconds with a tenth below a minute, else as a clock shows them."""
    return f"{seconds:.1f} s" if seconds < 59.95 else clock_face(seconds)


def clock_face(seconds: float) -> str:
    """Return 4:05 or 1:04:05."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
