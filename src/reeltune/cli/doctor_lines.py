"""How a check looks: a mark, a name, what was found, and below it what to type."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from reeltune.machine.check import Check, State
from reeltune.report.outlook_layout import Paper, wrapped

STYLES: dict[State, str] = {"ok": "green", "absent": "dim", "warn": "yellow", "fail": "bold red"}
MARKS: dict[State, str] = {"ok": "ok", "absent": "-", "warn": "warn", "fail": "FAIL"}


def check_lines(check: Check, *, names: int, columns: int) -> Iterator[Text]:
    """Yield the lines of a check: what was found is wrapped behind its name, what to type is one line.

    names: columns of the longest name. columns: of the terminal.
    """
    first = Text.assemble((f"{MARKS[check.state]:<4}", STYLES[check.state]), f"  {check.name:<{names}}  ")
    indent = min(first.cell_len, columns // 2)
    for paragraph in check.text.split("\n"):
        yield from wrapped(paragraph, Paper(columns), first=first, indent=indent)
        first = Text(" " * indent)
    if check.fix:
        fix = Text.assemble(("-> ", "dim"), (check.fix, "bold"))
        # As far to the left as it needs to: a line that is broken cannot be copied.
        yield Text.assemble(" " * max(0, min(indent, columns - fix.cell_len)), fix)
