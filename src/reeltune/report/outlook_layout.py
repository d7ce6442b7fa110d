"""Lines of the plan: words wrapped between two edges, rows with a name, tables. Nothing is cut off and no word broken.

Words without room on any line, such as long paths, stay whole: the terminal wraps them, and they can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from rich.text import Text

NAMES = 18
"""Columns for the names of rows, the margin included."""

MARGIN = 2
GAP = 3
"""Columns between those of a table, at least."""

BAD = "bold red"
"""How something that will not work looks on a terminal."""


@dataclass(frozen=True)
class Paper:
    """What a page is written on. width: in columns. encoding: of the stream that it goes to."""

    width: int
    encoding: str = "utf-8"


def title(words: str) -> Text:
    return Text(words, style="bold")


def wrapped(text: str | Text, paper: Paper, *, first: str | Text = "", indent: int) -> list[Text]:
    """Break a text between words; `first` opens the first line, the others are indented.

    A word that is too long for what the indentation leaves stands as far to the left as it needs.
    """
    lines, line, glue = [], Text.assemble(first), ""
    for word in _words(text):
        if line.cell_len + len(glue) + word.cell_len > paper.width:
            lines += [line] * bool(line.plain.strip())
            line, glue = Text(" " * max(0, min(indent, paper.width - word.cell_len))), ""
        line, glue = Text.assemble(line, glue, word), " "
    lines.append(line)
    for line in lines:
        line.rstrip()
    return lines


def named(rows: Iterable[tuple[str, str | Text]], paper: Paper) -> list[Text]:
    """Return a name and a text for each row that has a text."""
    return [
        line
        for name, text in rows
        if str(text)
        for line in wrapped(text, paper, first=(" " * MARGIN + name).ljust(NAMES - 1) + " ", indent=NAMES)
    ]


def table(rows: Sequence[Sequence[str | Text]], paper: Paper) -> list[Text]:
    """Align cells in columns as wide as they need: a name, numbers to the right, and at the end a text that wraps."""
    *widths, _ = (max(Text.assemble(cell).cell_len for cell in column) for column in zip(*rows, strict=True))
    edges = [MARGIN + sum(widths[:index]) + GAP * index for index in range(len(widths) + 1)]
    lines = []
    for *cells, last in rows:
        line = Text()
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            room = width - Text.assemble(cell).cell_len
            line = Text.assemble(line, " " * (edges[index] - line.cell_len + room * (index > 0)), cell)
        first = Text.assemble(line, " " * (edges[-1] - line.cell_len))
        lines += wrapped(last, paper, first=first, indent=min(edges[-1], paper.width // 2))
    return lines


def printable(value: Any, encoding: str) -> Any:
    """Return a record whose texts can be shown: without control characters, and in an encoding.

    What cannot be shown becomes an escape, as in Python: file names may hold anything.
    """
    if isinstance(value, str):
        plain = "".join(mark if mark.isprintable() else _escaped(mark) for mark in value)
        return plain.encode(encoding, errors="backslashreplace").decode(encoding)
    if isinstance(value, tuple):
        return tuple(printable(item, encoding) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: printable(getattr(value, field.name), encoding) for field in fields(value)}
        )
    return value


def _escaped(mark: str) -> str:
    return " " if mark.isspace() else mark.encode("unicode_escape").decode("ascii")


def _words(text: str | Text) -> list[Text]:
    return [word for word in Text.assemble(text).split(" ") if word.plain]
