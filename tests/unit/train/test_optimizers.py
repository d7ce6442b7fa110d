"""Optimizers by name: their rules against the formulas, and their states through a checkpoint."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.trained import PlainTensors
from reeltune.config.optimizer_names import NOT_YET, OPTIMIZERS
from reeltune.errors import ConfigError
from reeltune.machine import packages
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.optimizers import FACTORIES, build_optimizer
from reeltune.train.state import TrainState

RATE = 1e-2
SHAPE = (128, 128)
"""bitsandbytes keeps the state of smaller tensors, below 4096 elements, in float32."""

NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            extra == "bnb" and importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes"
        ),
    )
    for name, extra in OPTIMIZERS.items()
]


SHAPES = {"a": SHAPE, "b": (5,)}
"""One large tensor, and one smaller than what is kept in eight bits."""


def state(name: str) -> TrainState:
    weights = PlainTensors(SHAPES)
    return TrainState(weights, build_optimizer(name, list(weights.tensors.values()), learning_rate=RATE), ema=None)


def step(run: TrainState, number: int) -> None:
    """Take a step with gradients that depend on its number, at a rate that changes as a schedule's does."""
    generator = torch.Generator().manual_seed(number)
    for parameter in run.trained.trainable().values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for group in run.optimizer.param_groups:
        group["lr"] = RATE / (1 + number)
    run.optimizer.step()
    run.step += 1


def test_every_declared_name_can_be_built_and_none_is_both_there_and_refused() -> None:
    assert FACTORIES.keys() == OPTIMIZERS.keys()
    assert not OPTIMIZERS.keys() & NOT_YET.keys()


def test_a_refusal_points_to_a_name_that_is_there() -> None:
    for name, reason in NOT_YET.items():
        words = reason.replace(";", " ").replace(",", " ").split()
        assert any(word in OPTIMIZERS for word in words), name


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_come_nearer_to_the_minimum(name: str) -> None:
    target = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    parameter = nn.Parameter(torch.zeros(SHAPE))
    optimizer = build_optimizer(name, [parameter], learning_rate=RATE)
    distances = []
    for _ in range(3):
        loss = (parameter.double() - target).square().sum()
        distances.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_optimizer_continues_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    straight, before, after = state(name), state(name), state(name)
    for number in range(10):
        step(straight, number)
    for number in range(5):
        step(before, number)
    checkpoints = Checkpoints(tmp_path, limit=1)
    checkpoints.save(before.snapshot(), {}, lambda folder: None)
    after.restore(checkpoints.load(5))
    for number in range(5, 10):
        step(after, number)
    for key, parameter in straight.trained.trainable().items():
        assert torch.equal(after.trained.trainable()[key], parameter), key


Rule = Callable[[Tensor, list[Tensor]], Tensor]


def lion(weights: Tensor, gradients: list[Tensor]) -> Tensor:
    """Chen et al. 2023, arXiv:2302.06675, algorithm 2, without weight decay."""
    momentum = torch.zeros_like(weights)
    for gradient in gradients:
        weights = weights - RATE * torch.sign(0.9 * momentum + 0.1 * gradient)
        momentum = 0.99 * momentum + 0.01 * gradient
    return weights


def sgd(weights: Tensor, gradients: list[Tensor]) -> Tensor:
    return weights - RATE * torch.stack(gradients).sum(0)


def adamw(*, beta2: float, epsilon: float, decay: float = 0.01) -> Rule:
    """Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2."""

    def rule(weights: Tensor, gradients: list[Tensor]) -> Tensor:
        mean, square = torch.zeros_like(weights), torch.zeros_like(weights)
        for number, gradient in enumerate(gradients, start=1):
            mean = 0.9 * mean + 0.1 * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            update = (mean / (1 - 0.9**number)) / ((square / (1 - beta2**number)).sqrt() + epsilon)
            weights = weights - RATE * (update + decay * weights)
        return weights

    return rule


RULES: dict[str, Rule] = {
    "optimi-lion": lion,
    "bnb-lion": lion,
    "torch-sgd": sgd,
    "optimi-sgd": sgd,
    "torch-adam": adamw(beta2=0.999, epsilon=1e-8, decay=0.0),
    "torch-adamw": adamw(beta2=0.999, epsilon=1e-8),
    "optimi-adamw": adamw(beta2=0.99, epsilon=1e-6),
    "bnb-adamw": adamw(beta2=0.999, epsilon=1e-8),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.values[0] in RULES])
def test_three_steps_are_the_rules_own_in_float64(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(SHAPE, dtype=torch.float64, generator=generator)
    gradients = [torch.randn(SHAPE, generator=generator) for _ in range(3)]
    parameter = nn.Parameter(start.float())
    optimizer = build_optimizer(name, [parameter], learning_rate=RATE)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    expected = RULES[name](start, [gradient.double() for gradient in gradients])
    # Weights of up to 4 in float32 are rounded, by 2e-7 each, at the start and in each step.
    torch.testing.assert_close(parameter.detach().double(), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if "8bit" in str(name.values[0])])
def test_moments_of_8bit_optimizers_take_one_byte_an_element(name: str) -> None:
    run = state(name)
    step(run, 0)
    large = run.optimizer.state[run.trained.trainable()["a"]]
    moments = [tensor for tensor in large.values() if isinstance(tensor, Tensor) and tensor.shape == SHAPE]
    assert moments
    assert {tensor.dtype for tensor in moments} == {torch.uint8}


def test_a_paged_state_on_the_cpu_is_said_not_to_be(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bitsandbytes")
    state("bnb-lion8bit-paged")
    assert "not paged" in caplog.text


@pytest.mark.parametrize(("name", "instead"), [("bnb-lion8bit-paged", "optimi-lion"), ("bnb-adamw", "optimi-adamw")])
def test_a_missing_package_is_named_with_its_extra_and_an_alternative(
    name: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "version_of", lambda distribution: None)
    with pytest.raises(ConfigError, match=r'pip install "reeltune\[bnb\]"') as caught:
        state(name)
    assert f"set optimizer to {instead}." in str(caught.value)
    assert OPTIMIZERS[instead] is None


def test_a_package_that_is_here_and_broken_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "version_of", lambda distribution: "99")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match="is installed and cannot be imported: .*Set optimizer to optimi-lion"):
        state("bnb-lion8bit")
