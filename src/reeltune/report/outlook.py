"""The page that says, before a run starts, what it will do and what it will take; and the same for machines."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from reeltune.contracts.outlook import Outlook
from reeltune.report.outlook_cost import routing_lines, time_lines
from reeltune.report.outlook_course import course_lines
from reeltune.report.outlook_data import data_lines
from reeltune.report.outlook_layout import Paper, printable, title, wrapped
from reeltune.report.outlook_model import trained_lines
from reeltune.report.outlook_notes import announced, note_lines
from reeltune.report.outlook_room import disk_lines, memory_lines

WIDTHS = (76, 120)
"""In columns: in less than the first there is no room for tables; beyond the second, lines are tiring to read."""

SECTIONS = (
    trained_lines,
    data_lines,
    course_lines,
    routing_lines,
    time_lines,
    disk_lines,
    memory_lines,
    note_lines,
)


def outlook_page(outlook: Outlook, *, width: int, command: str | None, encoding: str = "utf-8") -> str:
    """Return the page as plain text.

    command: what to type to start the run; None leaves it out. encoding: of the stream it goes to.
    """
    return "\n".join(line.plain for line in _lines(outlook, width=width, command=command, encoding=encoding))


def print_outlook(outlook: Outlook, console: Console, *, command: str | None) -> None:
    """Print the page as wide as the console, with colours where it shows any."""
    for line in _lines(outlook, width=console.width, command=command, encoding=console.encoding):
        # Wrapped by then; what is still too long, such as a path, is the terminal's to wrap, so that it can be copied.
        console.print(line, soft_wrap=True)


def outlook_json(outlook: Outlook) -> str:
    """Return all of the record as JSON in ASCII, in the record's own order, with numbers as they are."""
    return json.dumps(asdict(outlook), indent=2, allow_nan=False)


def _lines(outlook: Outlook, *, width: int, command: str | None, encoding: str) -> list[Text]:
    least, most = WIDTHS
    paper = Paper(min(most, max(least, width)), encoding)
    outlook = printable(outlook, encoding)
    lines = [title(f"Plan of {outlook.run}"), *_announcement(outlook, paper)]
    for section in SECTIONS:
        if part := section(outlook, paper):
            lines += [Text(), *part]
    return [*lines, Text(), title(f"Start with: {printable(command, encoding)}")] if command else lines


def _announcement(outlook: Outlook, paper: Paper) -> list[Text]:
    counts = announced(outlook)
    return wrapped(f"See the end: {counts}.", paper, indent=0) if counts else []
