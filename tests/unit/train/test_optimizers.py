"""Optimizers by name: their rules against the formulas, and their states through a checkpoint."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from helpers.tiny import random_batch
from helpers.trained import PlainTensors
from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.config.optimizer_keys import KEYS
from reeltune.config.optimizer_names import NOT_YET, OPTIMIZERS, SCHEDULE_FREE
from reeltune.demo.model import make_transformer
from reeltune.errors import ConfigError
from reeltune.families.wan.family import Wan
from reeltune.machine import packages
from reeltune.objective.path import mix
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.optimizer_packages import require_package
from reeltune.train.optimizers import FACTORIES, build_optimizer, effective_rate
from reeltune.train.state import TrainState

RATE = 1e-2
SHAPE = (128, 128)
"""bitsandbytes keeps the state of smaller tensors, below 4096 elements, in float32."""

NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(package and packages.missing(package)), reason=f"needs {package}"))
    for name, package in OPTIMIZERS.items()
]

SHAPES = {"a": SHAPE, "b": (5,)}
"""One large tensor, and one smaller than what is kept in eight bits."""


def state(name: str) -> TrainState:
    weights = PlainTensors(SHAPES)
    return TrainState(weights, build_optimizer(name, list(weights.tensors.values()), learning_rate=RATE), ema=None)


def give_gradients(parameters: Sequence[nn.Parameter], number: int) -> None:
    """Give gradients that depend on the number of the step."""
    generator = torch.Generator().manual_seed(number)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def rate_of(number: int) -> float:
    return RATE / (1 + number)


def step(run: TrainState, number: int) -> None:
    """Take a step with gradients that depend on its number, at a rate that changes as a schedule's does."""
    give_gradients(list(run.trained.trainable().values()), number)
    run.set_rate(rate_of(number))
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
def test_steps_come_nearer_to_the_minimum(name: str) -> None:
    target = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    parameter = nn.Parameter(torch.zeros(SHAPE))
    optimizer = build_optimizer(name, [parameter], learning_rate=RATE)
    distances = []
    for _ in range(4):
        loss = (parameter.double() - target).square().sum()
        distances.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert distances == sorted(distances, reverse=True)
    # SOAP's first step only looks.
    assert len(set(distances)) >= 3


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


BARE: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "torch": ("torch.optim", "", {}),
    "optimi": ("optimi", "", {}),
    "bnb": ("bitsandbytes.optim", "", {}),
    "adamw_bf16": ("torch.optim", "AdamW", {"weight_decay": 1e-2, "eps": 1e-6, "fused": True}),
    "torch-adam": ("torch.optim", "Adam", {"fused": True}),
    "torch-adamw": ("torch.optim", "AdamW", {"fused": True}),
    "torch-muon": ("torch.optim", "Muon", {"adjust_lr_fn": "match_rms_adamw"}),
    "ao-adamw8bit": ("torchao.optim", "AdamW8bit", {}),
    "ao-adamw4bit": ("torchao.optim", "AdamW4bit", {}),
    "ao-adamfp8": ("torchao.optim", "AdamFp8", {}),
    "ao-adamwfp8": ("torchao.optim", "AdamWFp8", {}),
    "prodigy": ("prodigyplus", "ProdigyPlusScheduleFree", {}),
    "adamw_schedulefree": ("schedulefree", "AdamWScheduleFree", {"weight_decay": 1e-2}),
    "adamw_schedulefree+aggressive": ("schedulefree", "AdamWScheduleFree", {"weight_decay": 1e-3, "eps": 1e-6}),
    "adamw_schedulefree+no_kahan": ("schedulefree", "AdamWScheduleFree", {"weight_decay": 1e-2}),
    "soap": ("pytorch_optimizer", "SOAP", {"max_precondition_dim": 1024}),
}
"""By name, or by what a name begins with: the module, the class, and what is set; one unnamed is as the name."""


def bare(name: str, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Return the optimizer of a name as its library makes it, without anything of ours."""
    library, _, rule = name.partition("-")
    module, kind, settings = BARE[name] if name in BARE else BARE[library]
    classes = vars(importlib.import_module(module))
    kind = kind or next(
        own for own, one in classes.items() if isinstance(one, type) and own.lower() == rule.removesuffix("-paged")
    )
    optimizer = classes[kind](parameters, lr=RATE, **settings)
    if name in SCHEDULE_FREE:
        optimizer.train()
    return optimizer


def slice_of_lora() -> list[nn.Parameter]:
    """Return the two matrices of a LoRA whose sides are long enough for states of eight and of four bits."""
    generator = torch.Generator().manual_seed(5)
    return [nn.Parameter(torch.randn(shape, generator=generator) / 8) for shape in ((8, 512), (512, 8))]


def train_plainly(optimizer: Optimizer, parameters: Sequence[nn.Parameter], steps: int) -> None:
    """Fit the product of two matrices to a moving target, with nothing but torch."""
    down, up = parameters
    for number in range(steps):
        generator = torch.Generator().manual_seed(number)
        inputs = torch.randn(4, 512, generator=generator)
        loss = ((inputs @ down.T) @ up.T - inputs.roll(1, 1)).square().mean()
        loss.backward()
        for group in optimizer.param_groups:
            rate = rate_of(number)
            group["lr"] = torch.tensor(rate) if isinstance(group["lr"], Tensor) else rate
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps_are_those_of_the_librarys_own_class_bit_for_bit(name: str) -> None:
    ours, theirs = slice_of_lora(), slice_of_lora()
    train_plainly(build_optimizer(name, ours, learning_rate=RATE), ours, 20)
    # torchao compiles its step, which takes a minute on a CPU and rounds in another order.
    uncompiled = torch.compiler.set_stance("force_eager") if name.startswith("ao-") else nullcontext()
    with uncompiled:
        train_plainly(bare(name, theirs), theirs, 20)
    start = slice_of_lora()
    for mine, its, before in zip(ours, theirs, start, strict=True):
        assert torch.equal(mine, its)
        assert not torch.equal(mine, before)


def lora_after_twenty_steps(make: Callable[[Sequence[nn.Parameter]], Optimizer], wan: Wan) -> dict[str, Tensor]:
    """Return a LoRA on one block of the tiny model after a plain loop over random batches."""
    torch.manual_seed(0)
    transformer = make_transformer(1).requires_grad_(False)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=16), wan.facts.adapter_targets, seed=0)
    optimizer = make(list(lora.trainable().values()))
    for number in range(20):
        batch = random_batch(seed=number)
        noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(number))
        noised = mix(batch.latents, noise, torch.tensor([0.3, 0.8]))
        (wan.predict(transformer, noised, batch) - noised.target).square().mean().backward()
        for group in optimizer.param_groups:
            rate = rate_of(number)
            group["lr"] = torch.tensor(rate) if isinstance(group["lr"], Tensor) else rate
        optimizer.step()
        optimizer.zero_grad()
    return {name: parameter.detach() for name, parameter in lora.trainable().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps_on_the_tiny_model_are_those_of_the_librarys_own_class(name: str, wan: Wan) -> None:
    ours = lora_after_twenty_steps(lambda parameters: build_optimizer(name, parameters, learning_rate=RATE), wan)
    uncompiled = torch.compiler.set_stance("force_eager") if name.startswith("ao-") else nullcontext()
    with uncompiled:
        theirs = lora_after_twenty_steps(lambda parameters: bare(name, parameters), wan)
    assert [key for key, tensor in ours.items() if not torch.equal(tensor, theirs[key])] == []
    assert all(tensor.isfinite().all() and tensor.any() for tensor in ours.values())


def test_muon_moves_matrices_and_adamw_the_rest() -> None:
    shapes = {"matrix": (16, 32), "bias": (16,), "matrix too": (8, 8), "kernel": (4, 2, 3, 3)}
    ours, theirs = PlainTensors(shapes).tensors, PlainTensors(shapes).tensors
    together = build_optimizer("torch-muon", list(ours.values()), learning_rate=RATE, settings={"weight_decay": 0.2})
    matrices, others = [theirs["matrix"], theirs["matrix too"]], [theirs["bias"], theirs["kernel"]]
    apart = [
        torch.optim.Muon(matrices, lr=RATE, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=RATE, weight_decay=0.2, fused=True),
    ]
    for number in range(5):
        give_gradients(list(ours.values()), number)
        give_gradients(list(theirs.values()), number)
        for optimizer in (together, *apart):
            optimizer.step()
    for name, parameter in ours.items():
        assert torch.equal(parameter, theirs[name]), name


SETTINGS: Mapping[str, Any] = {
    "betas": (0.8, 0.9),
    "eps": 1e-5,
    "weight_decay": 0.05,
    "momentum": 0.5,
    "max_lr": 1.0,
    "adjust_lr_fn": "original",
    "t_alpha": 7,
    "t_beta3": 7,
    "beta3": 0.5,
    "beta2_decay": -0.5,
    "shampoo_beta": 0.5,
}


BESIDE: Mapping[str, Mapping[str, Any]] = {"decouple_lr": {"weight_decay": 1e-6}, "nesterov": {"momentum": 0.5}}
"""What goes with a setting, so that the library does not warn of it or refuse it."""


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_takes_every_setting_that_is_declared_for_it(name: str) -> None:
    for key, kind in KEYS[name].items():
        tried = [SETTINGS.get(key), (0.8, 0.9, 0.95), 1, True, 0.5]
        value = next(one for one in tried if one is not None and kind.fits(one))
        optimizer = build_optimizer(
            name, slice_of_lora(), learning_rate=RATE, settings={**BESIDE.get(key, {}), key: value}
        )
        group = optimizer.param_groups[0]
        assert key not in group or group[key] == value or list(group[key]) == list(value), key


def test_settings_that_a_library_refuses_are_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="torch-sgd refuses its settings: .*Change optimizer_config"):
        build_optimizer("torch-sgd", slice_of_lora(), learning_rate=RATE, settings={"nesterov": True})


def test_the_rate_that_prodigy_finds_is_told() -> None:
    pytest.importorskip("prodigyplus")
    parameters = slice_of_lora()
    optimizer = build_optimizer("prodigy", parameters, learning_rate=1.0)
    assert effective_rate(optimizer) == pytest.approx(1e-6)
    train_plainly(optimizer, parameters, 20)
    found = effective_rate(optimizer)
    assert isinstance(found, float)
    assert found == optimizer.param_groups[0]["d"] * rate_of(19)
    assert optimizer.param_groups[0]["d"] > 1.5e-6


def test_others_step_with_the_rate_they_are_given() -> None:
    assert effective_rate(build_optimizer("torch-adamw", slice_of_lora(), learning_rate=RATE)) is None


def test_prodigy_prints_nothing_even_when_it_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("prodigyplus")
    before, after = state("prodigy"), state("prodigy")
    step(before, 0)
    checkpoints = Checkpoints(tmp_path, limit=1)
    checkpoints.save(before.snapshot(), {}, lambda folder: None)
    after.restore(checkpoints.load(1))
    step(after, 1)
    assert capsys.readouterr().out == ""


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


EIGHT_BITS = [name for name in OPTIMIZERS if name.startswith("bnb-") and "8bit" in name]


@pytest.mark.parametrize("name", [name for name in NAMES if name.values[0] in EIGHT_BITS])
def test_moments_of_8bit_optimizers_take_one_byte_an_element(name: str) -> None:
    run = state(name)
    step(run, 0)
    large = run.optimizer.state[run.trained.trainable()["a"]]
    moments = [tensor for key, tensor in large.items() if key.startswith("state")]
    assert moments
    assert {tensor.dtype for tensor in moments} == {torch.uint8}


def test_a_paged_state_on_the_cpu_is_said_not_to_be(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bitsandbytes")
    state("bnb-lion8bit-paged")
    assert "not paged" in caplog.text


@pytest.mark.parametrize(
    ("name", "instead"),
    [("bnb-lion8bit-paged", "optimi-lion"), ("bnb-adamw", "optimi-adamw"), ("bnb-adagrad", "torch-adagrad")],
)
def test_a_missing_package_is_named_with_its_extra_and_an_alternative(
    name: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "version_of", lambda distribution: None)
    with pytest.raises(ConfigError, match=r'pip install "reeltune\[bnb\]"') as caught:
        state(name)
    assert f"set optimizer to {instead}." in str(caught.value)
    assert OPTIMIZERS[instead] is None


def test_a_torch_without_muon_is_told_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reeltune.train.optimizer_packages.version", lambda name: "2.8.1")
    with pytest.raises(ConfigError, match=r"torch 2\.8\.1 has no Muon\. Install 2\.9 or newer"):
        require_package("torch-muon")
    require_package("torch-adamw")


def test_a_package_that_is_here_and_broken_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "version_of", lambda distribution: "99")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match="is installed and cannot be imported: .*Set optimizer to optimi-lion"):
        state("bnb-lion8bit")
