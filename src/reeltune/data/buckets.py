"""Which frame size a clip is trained at, and how it is resized to cover that size: pure arithmetic in space.

Clips are grouped by their rounded aspect, and each group has one aligned size near the wanted area or shorter side.
`frames` does the arithmetic in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


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
    """Return the (width, height) that a clip of this size is trained at.

    Squares follow the same rounding as all other shapes.
    """
    # A strip whose aspect would round to 0 keeps the smallest aspect that can be told from it.
    aspect = max(round(width / height, sizing.rounding), 10.0**-sizing.rounding)
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


def is_large_enough(width: int, height: int, *, minimum: float, resolution_type: str) -> bool:
    """Tell whether a clip's own size reaches a minimum that is given in the unit of resolution_type."""
    if resolution_type == "pixel":
        return min(width, height) >= minimum
    return width * height >= (round(minimum * 1e6) if resolution_type == "area" else minimum**2)


def size_in(width: int, height: int, resolution_type: str) -> float:
    """Return the largest minimum, in the unit of resolution_type and easy to type, that a clip of this size reaches."""
    if resolution_type == "area":
        return math.floor(width * height / 100) / 10_000
    return float(min(width, height) if resolution_type == "pixel" else math.isqrt(width * height))


def _edge(sizing: Sizing) -> int:
    """Return the side of the square of the wanted area, in whole pixels."""
    return int(math.sqrt(sizing.resolution * 1e6) if sizing.resolution_type == "area" else sizing.resolution)


def _divided(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest whole number, without the error of float."""
    return (2 * numerator + denominator) // (2 * denominator)
