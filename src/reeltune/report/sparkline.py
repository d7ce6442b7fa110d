"""A curve in one line of characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
"""For streams whose encoding has no blocks: the more ink, the higher."""


def sparkline(values: Sequence[float], *, columns: int, encoding: str = "utf-8") -> str:
    """Draw values in at most so many columns, each their mean there, from 0 to the highest column."""
    marks = marks_for(encoding)
    means = _means(values, min(len(values), columns))
    highest = max(means, default=0.0)
    return "".join(marks[_level(mean / highest, len(marks)) if highest > 0 else 0] for mean in means)


def marks_for(encoding: str) -> str:
    """Return the characters for rising values that an encoding has."""
    try:
        BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def _means(values: Sequence[float], columns: int) -> list[float]:
    edges = [(index * len(values) // columns, (index + 1) * len(values) // columns) for index in range(columns)]
    spans = [values[start:end] for start, end in edges]
    return [sum(span) / len(span) for span in spans]


def _level(share: float, levels: int) -> int:
    """Return the level whose middle is nearest: the lowest is for nothing, the highest for all."""
    return round(min(1.0, max(0.0, share)) * (levels - 1))
