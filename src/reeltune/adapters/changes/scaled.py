"""The change that makes single inputs or outputs of a layer larger or smaller."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reeltune.adapters.changes.base import Base


@dataclass(frozen=True)
class Scaling:
    """D = diag(factors) W, or W diag(factors) on the inputs: a factor of 0 changes nothing.

    factors: (out), or (in) with on_input. Source: Liu et al. 2022, arXiv:2205.05638 (IA3), as LyCORIS counts factors.
    """

    factors: Tensor
    on_input: bool = False

    @property
    def on_output(self) -> bool:
        """Whether W x is read."""
        return not self.on_input

    def added(self, base: Base) -> Tensor:
        if self.on_input:
            return base.apply(base.x * self.factors.to(base.x))
        return base.product * self.factors.to(base.x)

    def matrix(self, weight: Tensor) -> Tensor:
        factors = self.factors.to(weight)
        return weight * factors if self.on_input else weight * factors[:, None]
