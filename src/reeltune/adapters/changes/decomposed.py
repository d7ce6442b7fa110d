"""The change of a weight's direction apart from its length."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reeltune.adapters.changes.base import Base, Change, uses_product


@dataclass(frozen=True)
class Decomposed:
    """W + D = magnitude * V / ||V|| with V = W + D of the inner change; lengths by rows or by columns.

    magnitude: (out, 1) by rows, (1, in) by columns. A layer with one output or one input has one length either way.
    Needs W in plain numbers. Source: Liu et al. 2024, arXiv:2402.09353 (DoRA); the gradient flows through the length,
    as in LyCORIS.
    """

    inner: Change
    magnitude: Tensor

    @property
    def by_rows(self) -> bool:
        """Whether each output has a length; false: each input."""
        return self.magnitude.shape[1] == 1

    @property
    def on_output(self) -> bool:
        """Whether W x is read."""
        return self.by_rows

    def added(self, base: Base) -> Tensor:
        weight = base.weight().float()
        factors = self._factors(weight + self.inner.matrix(weight)).flatten()
        # Exactly 0 where the length is the magnitude: a fresh adapter then changes nothing, to the bit.
        longer, factors = (factors - 1).to(base.x), factors.to(base.x)
        if self.by_rows:
            return base.product * longer + self.inner.added(base) * factors
        scaled = base.x * factors
        product = base.apply(scaled) if uses_product(self.inner) else base.product
        return base.apply(base.x * longer) + self.inner.added(replace(base, x=scaled, product=product))

    def matrix(self, weight: Tensor) -> Tensor:
        changed = weight + self.inner.matrix(weight)
        return changed * self._factors(changed) - weight

    def _factors(self, changed: Tensor) -> Tensor:
        norms = lengths(changed, by_rows=self.by_rows)
        return self.magnitude.to(changed) / norms.clamp_min(torch.finfo(norms.dtype).eps)


def lengths(weight: Tensor, *, by_rows: bool) -> Tensor:
    """Return the lengths of a weight's rows (out, 1) or columns (1, in)."""
    return weight.norm(dim=1 if by_rows else 0, keepdim=True)
