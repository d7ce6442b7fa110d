"""What optimizers keep for each weight: against the states that the real ones have after a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from reeltune.config.optimizer_names import OPTIMIZERS
from reeltune.estimate.optimizers import state_bytes
from reeltune.machine.packages import missing
from reeltune.train.optimizers import build_optimizer

SHAPE = (256, 256)
"""bitsandbytes keeps eight bits in tensors of 4096 elements or more."""

SCALES = 0.08
"""Bytes for each weight beside the states themselves: counters; with eight bits a table and the scales of blocks."""

AT_MOST = ("torch-adafactor", "prodigy", "soap")
"""Those whose states depend on the shape."""

NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(package and missing(package)), reason=f"needs {package}"))
    for name, package in OPTIMIZERS.items()
]
EXACT = [name for name in NAMES if name.values[0] not in AT_MOST]


def kept_bytes(name: str, shape: tuple[int, int], settings: Mapping[str, Any] | None = None) -> float:
    """Return what the real optimizer keeps for each weight of a matrix after one step."""
    weight = nn.Parameter(torch.randn(shape))
    optimizer = build_optimizer(name, [weight], learning_rate=1e-3, settings=settings)
    weight.grad = torch.randn(shape)
    optimizer.step()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(optimizer.state[weight])) / weight.numel()


def tensors(state: Any) -> Iterator[Tensor]:
    """Yield the plain tensors of a state, however deep they lie."""
    if isinstance(state, Tensor) and is_traceable_wrapper_subclass(state):
        for name in state.__tensor_flatten__()[0]:  # pyright: ignore[reportAttributeAccessIssue]
            yield getattr(state, name)
    elif isinstance(state, Tensor):
        yield state
    elif isinstance(state, (dict, list)):
        for value in state.values() if isinstance(state, dict) else state:
            yield from tensors(value)


@pytest.mark.parametrize("name", EXACT)
def test_an_optimizer_keeps_what_the_real_one_keeps(name: str) -> None:
    assert 0 <= kept_bytes(name, SHAPE) - state_bytes(name, {}) <= SCALES


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("torch-sgd", {"momentum": 0.9}),
        ("torch-sgd", {"momentum": 0}),
        ("optimi-sgd", {"momentum": 0.9}),
        ("torch-rmsprop", {"momentum": 0.9}),
        ("torch-rmsprop", {"momentum": 0.9, "centered": True}),
        ("torch-adamw", {"amsgrad": True, "eps": 1e-7}),
        ("torch-adam", {"amsgrad": False}),
        ("torch-muon", {"momentum": 0.9}),
    ],
)
def test_settings_that_keep_more_are_counted(name: str, settings: dict[str, Any]) -> None:
    assert 0 <= kept_bytes(name, SHAPE, settings) - state_bytes(name, settings) <= SCALES


@pytest.mark.parametrize("shape", [(4, 1536), (16, 5120), (5120, 16), SHAPE])
def test_adafactor_keeps_no_more_than_is_said(shape: tuple[int, int]) -> None:
    assert 0 < kept_bytes("torch-adafactor", shape) <= state_bytes("torch-adafactor", {}) + 0.01


@pytest.mark.parametrize("name", [name for name in NAMES if name.values[0] in ("prodigy", "soap")])
@pytest.mark.parametrize("shape", [(32, 1536), (64, 5120), (5120, 32), SHAPE])
def test_bases_and_sums_are_no_more_than_is_said(name: str, shape: tuple[int, int]) -> None:
    assert 4 < kept_bytes(name, shape) <= state_bytes(name, {})
