"""Which frame size a clip is trained at, and how it is resized to cover that size: pure arithmetic in space.

Clips are grouped by their rounded aspect, and each group has one aligned size near the wanted area or shorter side.
`frames` does the arithmetic in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Literal

_EASY = Context(prec=4, rounding=ROUND_FLOOR)
"""Four digits are easy to type; cut off rather than rounded, so that a minimum that is suggested really admits."""


@dataclass(frozen=True)
class Sizing:
    """How large frames are trained.

    resolution: pixel = the shorter side; area = megapixels; pixel_area = side of a square of the same area.
    rounding: decimals of the aspect ratio that clips are grouped by.
    alignment: each side is a multiple of this many pixels.
    """

    resolution: float
    resolution_type: Literal["pixel", "area", "pixel_area"]
    rounding: int = 2
    alignment: int = 32

    def aligned(self, side: int | float) -> int:
        """Round to the nearest multiple of the alignment; halves go to the even multiple; never 0."""
        return max(self.alignment, self.alignment * round(side / self.alignment))


def bucket_size(width: int, height: int, sizing: Sizing) -> tuple[int, int]:
    """Return the (width, height) that a clip of this size is trained at."""
    return shape_size(width / height, sizing)


def shape_size(aspect: float, sizing: Sizing) -> tuple[int, int]:
    """Return the (width, height) that clips of this width over height are trained at.

    Squares follow the same rounding as all other shapes.
    """
    # A strip whose aspect would round to 0 keeps the smallest aspect that can be told from it.
    aspect = max(round(aspect, sizing.rounding), 10.0**-sizing.rounding)
    if sizing.resolution_type == "pixel":
        short = sizing.resolution
        # The long side is cut to whole pixels before it is aligned, as in the table.
        sides = (int(short * aspect), short) if aspect >= 1 else (short, int(short / aspect))
    else:
        edge = sizing.aligned(_edge(sizing))
        sides = (edge * math.sqrt(aspect), edge / math.sqrt(aspect))
    return sizing.aligned(sides[0]), sizing.aligned(sides[1])


def cover(width: int, height: int, *, target_width: int, target_height: int) -> tuple[int, int]:
    """Return the smallest size of the source's aspect, to one pixel, that covers the target."""
    if target_width * height >= target_height * width:
        return target_width, max(target_height, _divided(height * target_width, width))
    return max(target_width, _divided(width * target_height, height)), target_height


def reduced(width: int, height: int, *, size: float, resolution_type: str) -> tuple[int, int]:
    """Return the source's shape at a size in the unit of resolution_type, or its own size where that is smaller.

    The shorter side is rounded to whole pixels, and the longer one follows it, so the aspect stays to one pixel.
    """
    short = min(width, height)
    if resolution_type == "pixel":
        wanted = size
    else:
        edge = math.sqrt(size * 1e6) if resolution_type == "area" else size
        wanted = short * edge / math.sqrt(width * height)
    kept = min(short, max(1, round(wanted)))
    return _divided(width * kept, short), _divided(height * kept, short)


def is_large_enough(width: int, height: int, *, minimum: float, resolution_type: str) -> bool:
    """Tell whether a clip's own size reaches a minimum that is given in the unit of resolution_type."""
    own, limit = _compared(width, height, minimum, resolution_type)
    return own >= limit


def is_larger(width: int, height: int, *, maximum: float, resolution_type: str) -> bool:
    """Tell whether a clip's own size exceeds a maximum that is given in the unit of resolution_type."""
    own, limit = _compared(width, height, maximum, resolution_type)
    return own > limit


def size_in(width: int, height: int, resolution_type: str) -> float:
    """Return the largest minimum, in the unit of resolution_type and easy to type, that a clip of this size reaches."""
    if resolution_type == "area":
        return float(_EASY.divide(Decimal(width * height), Decimal(10**6)))
    return float(min(width, height) if resolution_type == "pixel" else math.isqrt(width * height))


def _compared(width: int, height: int, size: float, resolution_type: str) -> tuple[int, float]:
    """Return a clip's own size and another one in the same unit: whole pixels of a side or of the area."""
    if resolution_type == "pixel":
        return min(width, height), size
    return width * height, float(round(size * 1e6)) if resolution_type == "area" else size**2


def _edge(sizing: Sizing) -> int:
    """Return the side of the square of the wanted area, in whole pixels."""
    return int(math.sqrt(sizing.resolution * 1e6) if sizing.resolution_type == "area" else sizing.resolution)


def _divided(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole number, without the error of float."""
    return (2 * numerator + denominator) // (2 * denominator)
