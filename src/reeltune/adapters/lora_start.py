"""How a LoRA starts: drawn at random with one half zero, or from the main directions of the base's own weights.

Letters: W (out, in) the base's weight in float32, r the rank, A (r, in), B (out, r), s the scale.

From main directions a layer starts at a pair (A0, B0) that is far from zero. Elsewhere s B0 A0 is then taken out of W,
and the file is good for that other base only. Here W stays, the starting pair is kept, and the layer adds
s (B A - B0 A0): nothing at first, to the bit, with the same gradients; and the file is a plain LoRA of twice the rank,
[B - B0, B0] [A; A - A0], whose numbers keep what little was learned in any number type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from reeltune.errors import ConfigError

Pair = tuple[Float[Tensor, "r in"], Float[Tensor, "out r"]]

MORE_DIRECTIONS = 8
"""Directions that are looked for beside the wanted ones, as Halko et al. advise."""

SMALL = 512
"""Below this width a matrix is decomposed whole: it takes a tenth of a second."""

ROUNDS = 8
"""Each round multiplies the error of a direction by (next size / its size) squared."""


def uniform(shape: tuple[int, int], generator: Generator) -> Tensor:
    """Draw A as PEFT does by default, and torch for linear layers: uniform within 1 / sqrt(in)."""
    return nn.init.kaiming_uniform_(torch.empty(shape), a=math.sqrt(5), generator=generator)


def gaussian(shape: tuple[int, int], generator: Generator) -> Tensor:
    """Draw A as PEFT's gaussian start: normal with standard deviation 1 / r."""
    return torch.randn(shape, generator=generator) / shape[0]


def pissa(weight: Float[Tensor, "out in"], rank: int, scale: float, generator: Generator) -> Pair:
    """Return the pair with s B0 A0 = the best approximation of W of rank r, split evenly.

    Source: Meng et al. 2024, arXiv:2404.02948.
    """
    left, sizes, right = main_directions(weight, rank, generator)
    root = (sizes / scale).sqrt()
    return root[:, None] * right, left * root


def olora(weight: Float[Tensor, "out in"], rank: int, scale: float, generator: Generator) -> Pair:
    """Return the first r columns of Q and rows of R of W = Q R; nothing is drawn, and the scale is not undone.

    Source: Büyükakyüz 2024, arXiv:2406.01775.
    """
    # Column by column as the whole factorization goes, whose other columns would cost a hundred times as much.
    q, r = torch.linalg.qr(weight[:, :rank])
    return torch.cat([r, q.T @ weight[:, rank:]], dim=1), q


def main_directions(weight: Float[Tensor, "out in"], rank: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest singular values of a matrix and their directions: (out, r), (r,), (r, in).

    Exact for small matrices. For others what is drawn is refined in rounds, in O(out in r).
    Source: Halko et al. 2011, arXiv:0909.4061, algorithm 4.4.
    """
    width = rank + MORE_DIRECTIONS
    if min(weight.shape) < max(SMALL, 4 * width):
        left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
    else:
        # Drawn on the host, so that it is the same on every device, and the process's own random state is untouched.
        sketch = torch.randn(weight.shape[1], width, generator=generator).to(weight.device)
        basis = torch.linalg.qr(weight @ sketch).Q
        for _ in range(ROUNDS):
            basis = torch.linalg.qr(weight @ torch.linalg.qr(weight.T @ basis).Q).Q
        inner, sizes, right = torch.linalg.svd(basis.T @ weight, full_matrices=False)
        left = basis @ inner
    return left[:, :rank].contiguous(), sizes[:rank], right[:rank].contiguous()


DRAWN: Mapping[str, Callable[[tuple[int, int], Generator], Tensor]] = {"default": uniform, "gaussian": gaussian}
"""Starts with B zero: how A is drawn."""

FROM_BASE: Mapping[str, Callable[[Tensor, int, float, Generator], Pair]] = {"pissa": pissa, "olora": olora}
"""Starts from the base's weights: the pair (A0, B0)."""


def require_directions(kind: str, rank: int, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raise ConfigError when a start from the base has more directions to take than a layer has.

    sizes: (out, in) of the layers by name.
    """
    for name, shape in sizes.items():
        if kind in FROM_BASE and rank > min(shape):
            raise ConfigError(
                f"lora_rank is {rank}, and {name} ({shape[1]} inputs, {shape[0]} outputs) has {min(shape)} directions "
                f"for lora_init_type={kind} to start from. Set lora_rank={min(shape)} or less, or "
                "lora_init_type=default."
            )
