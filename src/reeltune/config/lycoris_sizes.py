"""Into which factors LyCORIS splits the sides of a layer. Arithmetic only, equal to that of lycoris-lora 4.1.

Source: Yeh et al. 2023, arXiv:2309.14859, and the package's documented examples.
"""

from __future__ import annotations

import math


def split(size: int, factor: int) -> tuple[int, int]:
    """Return (m, n) with m * n = size and m <= n: m is the factor where it divides the size.

    Otherwise, and for a factor of -1, of the divisors up to the factor that which makes m + n smallest. 16 splits 128
    into (8, 16), 2 into (2, 64).
    """
    if factor > 0 and size % factor == 0:
        other = size // factor
        return min(factor, other), max(factor, other)
    most = math.isqrt(size) if factor < 0 else max(1, min(factor, math.isqrt(size)))
    return next((m, size // m) for m in range(most, 0, -1) if size % m == 0)


def split_in_powers(size: int, factor: int) -> tuple[int, int] | None:
    """Return (m, n) with m * n = size, m even and n a power of two: the largest m up to the factor; None: none is.

    A factor of -1 is no limit.
    """
    most = size if factor == -1 else min(factor, size)
    fitting = (m for m in range(most - most % 2, 0, -2) if size % m == 0)
    return next(((m, size // m) for m in fitting if (size // m).bit_count() == 1), None)


def stages(blocks: int) -> int:
    """Return how many stages BOFT has for a number of blocks, which is a power of two: 1 for 1, 3 for 4."""
    return (blocks - 1).bit_count() + 1
