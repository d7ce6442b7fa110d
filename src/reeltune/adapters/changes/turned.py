"""Changes that rotate the outputs of a layer, blocks of them at a time.

Each block holds free numbers B. Its rotation is Cayley's: R = (I + Q)(I - Q)⁻¹ with Q = B - Bᵀ, so B = 0 rotates
nothing. What is computed is R - I = 2 (I - Q)⁻¹ Q, in float32: exactly 0 at the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reeltune.adapters.changes.base import Base


@dataclass(frozen=True)
class Rotation:
    """W becomes rescale * diag(Rᵀ of each block) W. blocks: (k, n, n) with k * n = out.

    constraint: Q of all blocks together is made no longer than constraint * out; 0 is no limit.
    rescale: a factor for each output, (out, 1).
    Source: Qiu et al. 2023, arXiv:2306.07280 (OFT); constraint and transposition as in LyCORIS.
    """

    blocks: Tensor
    constraint: float = 0.0
    rescale: Tensor | None = None
    on_output: ClassVar[bool] = True

    def added(self, base: Base) -> Tensor:
        return self._turned(base.product)

    def matrix(self, weight: Tensor) -> Tensor:
        return self._turned(weight.T).T

    def _turned(self, outputs: Tensor) -> Tensor:
        """Return by how much outputs (..., out) change."""
        count, size, _ = self.blocks.shape
        moves = cayley(self.blocks, self.constraint * count * size).to(outputs)
        seen = outputs.unflatten(-1, (count, size))
        moved = torch.einsum("knm,...kn->...km", moves, seen).flatten(-2)
        return _rescaled(outputs, moved, self.rescale)


@dataclass(frozen=True)
class Butterfly:
    """Rotations in stages: stage i mixes outputs that are 2**i half blocks apart. blocks: (m, k, n, n), k * n = out.

    constraint, rescale: as in `Rotation`; Q of all stages counts.
    Source: Liu et al. 2023, arXiv:2311.06243 (BOFT), in the form of LyCORIS.
    """

    blocks: Tensor
    constraint: float = 0.0
    rescale: Tensor | None = None
    on_output: ClassVar[bool] = True

    def added(self, base: Base) -> Tensor:
        return self._turned(base.product)

    def matrix(self, weight: Tensor) -> Tensor:
        return self._turned(weight.T).T

    def _turned(self, outputs: Tensor) -> Tensor:
        """Return by how much outputs (..., out) change: the sum of what each stage does to what came before."""
        stages, count, size, _ = self.blocks.shape
        moves = cayley(self.blocks, self.constraint * count * size).to(outputs)
        moved = torch.zeros_like(outputs)
        for stage in range(stages):
            stride = 2**stage * size // 2
            seen = _exchanged(outputs + moved, 2, stride).unflatten(-1, (count, size))
            turned = torch.einsum("knm,...km->...kn", moves[stage], seen).flatten(-2)
            moved = moved + _exchanged(turned, stride, 2)
        return _rescaled(outputs, moved, self.rescale)


def cayley(blocks: Tensor, longest: float) -> Tensor:
    """Return R - I of each block (..., n, n), in float32. longest: what the norm of all Q together may be; 0: any."""
    blocks = blocks.float()
    skew = blocks - blocks.transpose(-1, -2)
    if longest > 0:
        skew = skew * (longest / (skew.norm() + 1e-8)).clamp(max=1)
    identity = torch.eye(skew.shape[-1], device=skew.device)
    # The form that raises on singular matrices waits for the device; I - Q never is one, since Q is skew.
    return 2 * torch.linalg.solve_ex(identity - skew, skew)[0]


def _exchanged(values: Tensor, rows: int, columns: int) -> Tensor:
    """Return values (..., c * rows * columns) with each c of them read column by column."""
    return values.unflatten(-1, (-1, rows, columns)).transpose(-1, -2).flatten(-3)


def _rescaled(outputs: Tensor, moved: Tensor, rescale: Tensor | None) -> Tensor:
    if rescale is None:
        return moved
    factors = rescale.flatten()
    return factors.to(outputs) * moved + (factors - 1).to(outputs) * outputs
