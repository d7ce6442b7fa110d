"""DoRA as ComfyUI computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reeltune.adapters.changes import Base, Change, Decomposed, lengths, matrix_of


@dataclass(frozen=True)
class Stretched:
    """W + D = magnitude / ||W|| * (W + D of the inner change), by rows: divided by the length of the base's rows.

    magnitude: (out, 1). Source: ComfyUI 0.3.77, which takes the length before the change where the lengths are rows'.
    """

    inner: Change
    magnitude: Tensor
    on_output: ClassVar[bool] = True

    def added(self, base: Base) -> Tensor:
        factors = self._factors(base.weight().float()).flatten()
        return base.product * (factors - 1).to(base.x) + self.inner.added(base) * factors.to(base.x)

    def matrix(self, weight: Tensor) -> Tensor:
        factors = self._factors(weight)
        return weight * (factors - 1) + self.inner.matrix(weight) * factors

    def _factors(self, weight: Tensor) -> Tensor:
        return self.magnitude.to(weight) / lengths(weight, by_rows=True)


def stretched(change: Decomposed, weight_of: Callable[[], Tensor]) -> Stretched:
    """Return the same change of one base weight (out, in) as lengths by rows divided by the base's own."""
    weight = weight_of().float()
    before = lengths(weight, by_rows=True)
    after = lengths(weight + matrix_of(change.inner, weight), by_rows=True)
    return Stretched(change.inner, change.magnitude.to(weight) * before / after)
