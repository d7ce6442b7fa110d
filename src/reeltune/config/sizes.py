"""Sizes of videos as options write them: `832x480`, `480` for a square, or several with commas between."""

from __future__ import annotations

import re

SMALLEST_SIDE = 16
"""Pixels that become one element of the transformer's input, each way."""

SMALLEST_SQUARE = 128
"""Below it a number alone is no side in pixels: other programs read it as megapixels."""

_NEEDED = 'width x height is needed, such as "832x480", or one side for a square, such as "480"'


def parse_sizes(value: object) -> tuple[tuple[int, int], ...]:
    """Return (width, height) of each size, in order, each once. Raises ValueError with what to write instead."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(_NEEDED)
    return tuple(dict.fromkeys(_parse_size(part.strip()) for part in str(value).split(",")))


def _parse_size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"([0-9]+)\s*[xX×]\s*([0-9]+)", text)
    if sides:
        width, height = int(sides[1]), int(sides[2])
        if min(width, height) < SMALLEST_SIDE:
            raise ValueError(f"{text} is too small; each side is at least {SMALLEST_SIDE} pixels")
        return width, height
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(_NEEDED)
    side = float(text)
    if side < SMALLEST_SQUARE:
        raise ValueError(f"{text} is read as megapixels elsewhere and not here; {_NEEDED}")
    if not side.is_integer():
        raise ValueError(f"{text} is no whole number of pixels; {_NEEDED}")
    return int(side), int(side)
