"""Bars of characters, to an eighth of a column where the encoding has such marks."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉█"
ASCII = " #"
"""For streams whose encoding has no parts of blocks."""


def bar_marks(encoding: str) -> str:
    """Return the characters of rising width that an encoding has: nothing first, a whole column last."""
    try:
        EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return EIGHTHS


def bar(level: float, columns: int, marks: str = EIGHTHS) -> str:
    """Draw a level from 0 to 1 in at most so many columns; what is above 0 is seen."""
    steps = len(marks) - 1
    filled = round(min(1.0, max(0.0, level)) * columns * steps)
    whole, part = divmod(max(filled, 1) if level > 0 else 0, steps)
    return marks[-1] * whole + (marks[part] if part else "")
