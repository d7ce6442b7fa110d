"""By how much two ways to compute one change of a layer may differ: what float32 leaves, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from reeltune.adapters.changes import Base, Change, Decomposed, uses_product

TOLERANCE = 1e-5
"""Relative error of a layer's change. Two ways to sum some thousand float32 products differ by about 1e-6."""
ROUNDING = 1e-6
"""The same, of numbers that are subtracted from each other: what they leave may be as small as their rounding."""


def float32_noise(change: Change, base: Base, added: Tensor) -> float:
    """Return the size of the difference that is explained by float32 alone. added: what the change adds there."""
    # A change that turns or stretches the base's outputs is the difference of two such outputs.
    turned = base.product.norm().item() if uses_product(change) or isinstance(change, Decomposed) else 0.0
    return TOLERANCE * added.norm().item() + ROUNDING * turned


@contextmanager
def exact_products() -> Iterator[None]:
    """Multiply float32 in float32, on hardware that would round it for speed as well."""
    was = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(was)
