"""How large what an adapter adds to a layer's weight is, found without building it wherever its parts tell."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.adapters.changes import Change, Dense, Kronecker, LowRank, matrix_of
from reeltune.adapters.changes.dense import Factor
from reeltune.adapters.layers import linear_of, plain_weight

OUTSIDE = "outside"
"""What layers that are in none of the blocks are counted under."""


@torch.no_grad()
def sizes_by_block(changes: Mapping[str, Change], transformer: nn.Module, blocks: str) -> dict[str, Float[Tensor, ""]]:
    """Return the L2 norm of the changes of each block's weights, on their device, without waiting for it.

    changes: by the layers' names. blocks: name of the list of blocks. Keys are the names of blocks, such as blocks.3,
    in the order of the layers.
    """
    squares: defaultdict[str, list[Tensor]] = defaultdict(list)
    for name, change in changes.items():
        weight = functools.partial(_weight, transformer, name)
        squares[_block_of(name, blocks)].append(size_of(change, weight).square())
    return {block: torch.stack(parts).sum().sqrt() for block, parts in squares.items()}


def size_of(change: Change, weight: Callable[[], Tensor]) -> Float[Tensor, ""]:
    """Return the L2 norm of D, float32. weight: gives W; only kinds whose D is built ask for it."""
    match change:
        case LowRank(down, up, scale):
            return product_size(up.float(), down.float()) * abs(scale)
        case Kronecker(left, right, scale):
            return _factor_size(left) * _factor_size(right) * abs(scale)
        case Dense(matrix, _, scale):
            return matrix.float().norm() * abs(scale)
        case _:
            return matrix_of(change, weight()).norm()


def product_size(up: Float[Tensor, "o r"], down: Float[Tensor, "r i"]) -> Float[Tensor, ""]:
    """Return the L2 norm of up @ down from two matrices (r, r): its square is the sum of (upᵀ up) * (down downᵀ)."""
    return ((up.T @ up) * (down @ down.T)).sum().clamp_min(0).sqrt()


def _factor_size(factor: Factor) -> Tensor:
    return factor.float().norm() if isinstance(factor, Tensor) else product_size(factor[0].float(), factor[1].float())


def _weight(transformer: nn.Module, name: str) -> Tensor:
    return plain_weight(linear_of(transformer, name))


def _block_of(name: str, blocks: str) -> str:
    """Return the block that a layer is in: the names of the list and of the place in it."""
    depth = blocks.count(".") + 2
    return ".".join(name.split(".")[:depth]) if name.startswith(f"{blocks}.") else OUTSIDE
