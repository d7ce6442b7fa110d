"""How far a piece of work has come: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reeltune.log import on_terminal, terminal
from reeltune.report.clock import Clock

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0
"""How often long work speaks when there is no terminal."""

LONGEST_TITLE = 28
BAR_WIDTHS = (5, 40)
"""In columns, the least and the most; a terminal without room for the least gets no bar."""


@runtime_checkable
class Meter(Protocol):
    """Shows how far one piece of work has come."""

    def advance(self, *detail: str) -> None:
        """Count one unit. detail: what else to show, the most important first."""
        ...

    def close(self) -> None:
        """Say the last word and let go of the terminal; closing again does nothing."""
        ...


def open_meter(title: str, clock: Clock, *, silent_s: float = 0.0) -> Meter:
    """Start showing a piece of work; nothing is shown of work that is done already.

    silent_s: without a terminal, work that takes less is not spoken of.
    """
    if clock.finished:
        return NoMeter()
    return BarMeter(title, clock) if on_terminal() else LineMeter(title, clock, silent_s=silent_s)


class NoMeter:
    """Says nothing."""

    def advance(self, *detail: str) -> None: ...

    def close(self) -> None: ...


class BarMeter:
    """One line at the bottom of the terminal that is drawn again and again; log lines pass above it."""

    def __init__(self, title: str, clock: Clock) -> None:
        self._title = title
        self._clock = clock
        self._detail: Sequence[str] = ()
        # Output that goes to a file must not be pulled into the terminal.
        self._live = Live(self, console=terminal(), redirect_stdout=sys.stdout.isatty())
        # The cursor is hidden while the bar lives. Whoever forgets to close must not leave a terminal without one.
        atexit.register(self._live.stop)
        self._live.start(refresh=True)

    def advance(self, *detail: str) -> None:
        self._detail = detail
        self._clock.advance()

    def close(self) -> None:
        self._clock.stop()
        self._live.stop()
        atexit.unregister(self._live.stop)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        clock = self._clock
        title = Text(self._title)
        title.truncate(LONGEST_TITLE, overflow="ellipsis")
        words = fullest_wording(clock, self._detail, room=options.max_width - title.cell_len - 1)
        bar = min(options.max_width - title.cell_len - len(words) - 2, BAR_WIDTHS[1])
        cells: list[RenderableType] = [title, Text(words)]
        if bar >= BAR_WIDTHS[0]:
            cells.insert(1, ProgressBar(total=clock.total, completed=clock.done, width=bar))
        row = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for _ in cells:
            row.add_column(no_wrap=True, overflow="ellipsis")
        row.add_row(*cells)
        yield row


def fullest_wording(clock: Clock, detail: Sequence[str], *, room: int) -> str:
    """Return as much of count, rate, time and detail as leaves room for the smallest bar, the count in any case."""
    full = [clock.count, clock.rate, clock.time, *detail]
    short = [clock.count, clock.rate, clock.time.removesuffix(" left"), *detail]
    texts = [" ".join(filter(None, words[:length])) for length in range(len(full), 0, -1) for words in (full, short)]
    return next((text for text in texts if len(text) + 1 + BAR_WIDTHS[0] <= room), texts[-1])


class LineMeter:
    """A log line every few seconds, and one at the end, unless the work was done within `silent_s` seconds."""

    def __init__(self, title: str, clock: Clock, *, silent_s: float = 0.0) -> None:
        self._silent_s = silent_s
        self._title = title
        self._clock = clock
        self._detail: Sequence[str] = ()
        self._spoke = clock.now()
        self._closed = False

    def advance(self, *detail: str) -> None:
        self._detail = detail
        self._clock.advance()
        if self._clock.finished:
            self.close()
        elif self._clock.now() - self._spoke >= SECONDS_BETWEEN_LINES:
            self._spoke = self._clock.now()
            self._speak()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._clock.stop()
            if not self._clock.finished or self._clock.seconds >= self._silent_s:
                self._speak()

    def _speak(self) -> None:
        clock = self._clock
        parts = [f"{self._title} {clock.count}", clock.rate, clock.time, *self._detail]
        log.info("%s", ", ".join(filter(None, parts)))
