"""Sizes of changes, against the norms of the matrices that they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from helpers.random_changes import KINDS, random_change
from reeltune.adapters.change_size import size_of, sizes_by_block
from reeltune.adapters.changes import Dense, Kronecker, LowRank, mapped

WEIGHT = torch.randn(64, 48, generator=torch.Generator().manual_seed(5))


def refused() -> Tensor:
    raise AssertionError("the weight is not needed")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_norm_of_the_change(kind: str) -> None:
    change = random_change(kind, 64, 48)
    in_float64 = mapped(change, Tensor.double)
    expected = in_float64.matrix(WEIGHT.double()).norm()
    alone = isinstance(change, LowRank | Kronecker | Dense)
    size = size_of(change, refused if alone else lambda: WEIGHT)
    assert size.dtype == torch.float32
    # Float32 sums of some thousand squares, and for turned changes a matrix inverse in float32 as well.
    assert size.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_layers_of_a_block_count_together_and_those_outside_apart() -> None:
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.ModuleDict({"q": nn.Linear(2, 2), "k": nn.Linear(2, 2)}) for _ in range(2)])
    changes = {
        "blocks.1.q": Dense(torch.tensor([[3.0, 0.0], [0.0, 0.0]])),
        "blocks.1.k": Dense(torch.tensor([[0.0, 4.0], [0.0, 0.0]])),
        "blocks.0.q": Dense(torch.ones(2, 2), scale=-0.5),
        "head": Dense(torch.eye(2)),
    }
    sizes = {block: size.item() for block, size in sizes_by_block(changes, model, "blocks").items()}
    assert sizes == pytest.approx({"blocks.1": 5.0, "blocks.0": 1.0, "outside": 2**0.5})
