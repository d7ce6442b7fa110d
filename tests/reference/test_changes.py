"""Each kind of change: what it adds to an output is what its published formula says, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from reeltune.adapters.changes import (
    Base,
    Butterfly,
    Change,
    Decomposed,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
    matrix_of,
    uses_product,
)

OUT, IN, RANK = 12, 8, 3


def draw(*sizes: int) -> Tensor:
    return torch.randn(*sizes)


def base(weight: Tensor, x: Tensor) -> Base:
    return Base(x, linear(x, weight), apply=lambda other: linear(other, weight), weight=lambda: weight)


def rotation(blocks: Tensor, longest: float = 0.0) -> Tensor:
    """R of each block by Cayley's formula as published, in float64."""
    blocks = blocks.double()
    skew = blocks - blocks.transpose(-1, -2)
    if longest and skew.norm() > longest:
        skew = skew * longest / skew.norm()
    identity = torch.eye(skew.shape[-1], dtype=torch.float64)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def low_rank() -> tuple[Change, Callable[[Tensor], Tensor]]:
    down, up = draw(RANK, IN), draw(OUT, RANK)
    return LowRank(down, up, 0.7), lambda weight: 0.7 * up.double() @ down.double()


def dense() -> tuple[Change, Callable[[Tensor], Tensor]]:
    matrix = draw(OUT, IN)
    return Dense(matrix, None, 0.7), lambda weight: 0.7 * matrix.double()


def hadamard(rank: int) -> tuple[Change, Callable[[Tensor], Tensor]]:
    a1, b1, a2, b2 = draw(OUT, rank), draw(rank, IN), draw(OUT, rank), draw(rank, IN)
    formula = 0.7 * (a1.double() @ b1.double()) * (a2.double() @ b2.double())
    return Hadamard(a1, b1, a2, b2, 0.7), lambda weight: formula


def kronecker(*, products: bool) -> tuple[Change, Callable[[Tensor], Tensor]]:
    left = (draw(3, 1), draw(1, 4)) if products else draw(3, 4)
    right = (draw(4, 1), draw(1, 2)) if products else draw(4, 2)
    whole = [(one[0] @ one[1] if isinstance(one, tuple) else one).double() for one in (left, right)]
    return Kronecker(left, right, 0.7), lambda weight: 0.7 * torch.kron(*whole)


def scaling(*, on_input: bool) -> tuple[Change, Callable[[Tensor], Tensor]]:
    factors = draw(IN if on_input else OUT)
    diagonal = torch.diag(factors.double())
    return Scaling(factors, on_input), lambda weight: weight @ diagonal if on_input else diagonal @ weight


def rotated(*, constraint: float, rescaled: bool) -> tuple[Change, Callable[[Tensor], Tensor]]:
    blocks, rescale = draw(4, 3, 3), draw(OUT, 1) if rescaled else None
    turn = torch.block_diag(*rotation(blocks, constraint * OUT).transpose(-1, -2))

    def formula(weight: Tensor) -> Tensor:
        turned = turn @ weight
        return (turned if rescale is None else rescale.double() * turned) - weight

    return Rotation(blocks, constraint, rescale), formula


def butterfly(*, constraint: float, rescaled: bool) -> tuple[Change, Callable[[Tensor], Tensor]]:
    """Stage i turns pairs of half blocks (of 3 outputs) that are 2**i half blocks apart, by an explicit list."""
    blocks, rescale = draw(2, 2, 6, 6), draw(OUT, 1) if rescaled else None
    turns = rotation(blocks, constraint * OUT)
    # The stage of stride k reads outputs 0, k, 1, k + 1, ... of each 2 k: half a block from each side.
    order = [
        [
            index
            for start in range(0, OUT, 2 * stride)
            for pair in range(stride)
            for index in (start + pair, start + stride + pair)
        ]
        for stride in (3, 6)
    ]

    def formula(weight: Tensor) -> Tensor:
        turned = weight.clone()
        for stage, indices in enumerate(order):
            mixed = torch.block_diag(*turns[stage]) @ turned[indices]
            turned = torch.empty_like(turned).index_copy_(0, torch.tensor(indices), mixed)
        return (turned if rescale is None else rescale.double() * turned) - weight

    return Butterfly(blocks, constraint, rescale), formula


def generalized() -> tuple[Change, Callable[[Tensor], Tensor]]:
    a1, a2, b1, b2 = draw(IN, RANK), draw(RANK, IN), draw(OUT, RANK), draw(RANK, IN)
    return (
        Generalized(a1, a2, b1, b2, 0.7),
        lambda weight: 0.7 * (weight @ a1.double() @ a2.double() + b1.double() @ b2.double()),
    )


def decomposed(
    inner: tuple[Change, Callable[[Tensor], Tensor]], *, by_rows: bool
) -> tuple[Change, Callable[[Tensor], Tensor]]:
    magnitude = draw(OUT, 1) if by_rows else draw(1, IN)

    def formula(weight: Tensor) -> Tensor:
        changed = weight + inner[1](weight)
        return magnitude.double() * changed / changed.norm(dim=1 if by_rows else 0, keepdim=True) - weight

    return Decomposed(inner[0], magnitude), formula


KINDS: dict[str, Callable[[], tuple[Change, Callable[[Tensor], Tensor]]]] = {
    "low rank": low_rank,
    "dense": dense,
    "hadamard, few ranks": lambda: hadamard(2),
    "hadamard, many ranks": lambda: hadamard(5),
    "kronecker": lambda: kronecker(products=False),
    "kronecker of products": lambda: kronecker(products=True),
    "scaling of outputs": lambda: scaling(on_input=False),
    "scaling of inputs": lambda: scaling(on_input=True),
    "rotation": lambda: rotated(constraint=0.0, rescaled=False),
    "rotation, held back and rescaled": lambda: rotated(constraint=0.05, rescaled=True),
    "butterfly": lambda: butterfly(constraint=0.0, rescaled=False),
    "butterfly, held back and rescaled": lambda: butterfly(constraint=0.05, rescaled=True),
    "generalized": generalized,
    "DoRA by rows": lambda: decomposed(low_rank(), by_rows=True),
    "DoRA by columns": lambda: decomposed(low_rank(), by_rows=False),
    "DoRA of a rotation by columns": lambda: decomposed(rotated(constraint=0.0, rescaled=False), by_rows=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_what_its_formula_says(kind: str) -> None:
    change, formula = KINDS[kind]()
    weight, x = draw(OUT, IN), draw(2, 5, IN)
    exact = formula(weight.double())
    # Float32 carries 6e-8 of each number; a rotation's inverse and a length lose some ten of these.
    torch.testing.assert_close(matrix_of(change, weight).double(), exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(change.added(base(weight, x)).double(), linear(x.double(), exact), rtol=1e-4, atol=1e-4)
    assert isinstance(change, Change)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_reads_the_product_only_where_it_says_so(kind: str) -> None:
    change, _ = KINDS[kind]()
    weight, x = draw(OUT, IN), draw(5, IN)
    whole = base(weight, x)
    without = Base(x, whole.product * float("nan"), whole.apply, whole.weight)
    assert torch.isnan(change.added(without)).any() == uses_product(change)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_answers_in_the_number_type_of_its_input(kind: str) -> None:
    change, formula = KINDS[kind]()
    weight, x = draw(OUT, IN), draw(5, IN)
    in_bf16 = change.added(base(weight.bfloat16(), x.bfloat16()))
    assert in_bf16.dtype == torch.bfloat16
    exact = linear(x.double(), formula(weight.double()))
    # bfloat16 rounds each of a few factors by up to 1/256.
    assert (in_bf16.double() - exact).norm() < 0.03 * exact.norm()


def test_a_dense_change_adds_its_own_bias() -> None:
    bias = draw(OUT)
    change = Dense(torch.zeros(OUT, IN), bias, 0.5)
    assert torch.equal(change.added(base(draw(OUT, IN), draw(5, IN))), (bias * 0.5).expand(5, OUT))
