"""What optimizers keep for each weight: against the states that the real ones have after a step."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.estimate.optimizers import state_bytes
from reeltune.train.optimizers import build_optimizer

SHAPE = (256, 256)
"""bitsandbytes keeps eight bits in tensors of 4096 elements or more."""

SCALES = 0.07
"""Bytes for each weight beside the states themselves: counters; with eight bits a table and the scales of blocks."""

NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            extra == "bnb" and importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes"
        ),
    )
    for name, extra in OPTIMIZERS.items()
    if name != "torch-adafactor"
]


def kept_bytes(name: str, shape: tuple[int, int]) -> float:
    """Return what the real optimizer keeps for each weight of a matrix after one step."""
    weight = nn.Parameter(torch.randn(shape))
    optimizer = build_optimizer(name, [weight], learning_rate=1e-3)
    weight.grad = torch.randn(shape)
    optimizer.step()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(optimizer.state[weight])) / weight.numel()


def tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_keeps_what_the_real_one_keeps(name: str) -> None:
    assert 0 <= kept_bytes(name, SHAPE) - state_bytes(name) <= SCALES


@pytest.mark.parametrize("shape", [(4, 1536), (16, 5120), (5120, 16), SHAPE])
def test_adafactor_keeps_no_more_than_is_said(shape: tuple[int, int]) -> None:
    assert 0 < kept_bytes("torch-adafactor", shape) <= state_bytes("torch-adafactor") + 0.01
