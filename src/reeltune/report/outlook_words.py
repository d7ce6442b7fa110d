"""Numbers of the plan in words: rounded to what is meaningful, with their unit."""

from __future__ import annotations

import math

GIB = 2**30

_LARGE = ((10**9, "billion"), (10**6, "million"))
_SPANS = ((48 * 3600, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "min"), (0, 1, "s"))
"""From how many seconds on a unit is used, its seconds, and its name."""


def amount(number: int | float) -> str:
    """Return a number that may be a mean: 29, 400,000, 12.3."""
    if 0 < number < 0.05:
        return "under 0.1"
    return f"{number:,.1f}".removesuffix(".0")


def counted(number: int | float, singular: str, plural: str | None = None) -> str:
    """Return `1 step`, `400,000 steps`; plural: where an s at the end does not make it."""
    return f"{amount(number)} {singular if number == 1 else plural or singular + 's'}"


def large(number: int) -> str:
    """Return a count of parameters: 11.8 million, 1.42 billion, or as it is where it is small."""
    for size, name in _LARGE:
        # What would be rounded to 1000 million is a billion.
        if number >= 0.9995 * size:
            return f"{_digits(number / size, 3)} {name}"
    return f"{number:,}"


def share(part: float) -> str:
    """Return a part of 1 in percent: 62 %, 0.4 %."""
    percent = 100 * part
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def span(seconds: float) -> str:
    """Return a time with two digits that count, in the unit that suits it: 3.9 s, 2.4 min, 18 days."""
    size, name = next((size, name) for least, size, name in _SPANS if seconds >= least)
    return f"{_digits(seconds / size, 2)} {name}"


def tflop(operations: float) -> str:
    """Return operations in units of 10^12, with three digits that count."""
    return f"{_digits(operations, 3)} TFLOP"


def gib(size: int) -> str:
    """Return bytes as the number of GiB, the unit that GPU memory is sold and measured in."""
    number = size / GIB
    if 0 < number < 0.005:
        return "under 0.01"
    return f"{number:.1f}" if number >= 0.095 or not number else f"{number:.2f}"


def rate(value: float) -> str:
    """Return a learning rate: 5e-05, 4.99e-05, 0."""
    return f"{value:.3g}"


def passes(epochs: float) -> str:
    """Return how often the data is passed: a tenth counts where there are few."""
    return f"{epochs:,.1f}" if epochs < 99.95 else f"{epochs:,.0f}"


def _digits(number: float, digits: int) -> str:
    """Return a number with so many digits that count; 1234 with two of them is 1,200."""
    if number <= 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(number))
    rounded = round(number, decimals)
    return f"{rounded:,.{max(0, decimals)}f}"
