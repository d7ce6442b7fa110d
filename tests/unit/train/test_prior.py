"""Regularisation data: what is trained is the base model's own answer, so that the adapter leaves it as it is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.tiny import random_batch
from helpers.toy import Ears, Toy, toy_batch, toy_loop
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.events import StepDone
from reeltune.families.wan.family import Wan
from reeltune.train.clipping import Measured, measured
from reeltune.train.loop import Loop
from reeltune.train.optimizers import build_optimizer
from reeltune.train.state import TrainState

CPU = torch.device("cpu")


def prior(position: int) -> Batch:
    return replace(toy_batch(position), prior=True)


def grads(loop: Loop, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Return the gradients of one step as they are before clipping."""
    found: dict[str, Tensor] = {}

    def keep(parameters: Sequence[nn.Parameter]) -> Measured:
        found.update(
            {name: one.grad.clone() for name, one in loop.state.trained.trainable().items() if one.grad is not None}
        )
        return measured(parameters)

    loop.clip = keep
    loop.train_step(batches)
    return found


def filled(lora: Lora) -> Lora:
    """Give the adapter something to say."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in lora.trainable().values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return lora


def test_an_adapter_that_changes_nothing_has_nothing_to_unlearn(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, dropout=0.5)
    found = grads(loop, [prior(0)])
    assert found.keys() == loop.state.trained.trainable().keys()
    assert all(not grad.any() for grad in found.values())
    assert toy_loop(tmp_path, dropout=0.5).train_step([prior(0)]).loss == 0
    assert toy_loop(tmp_path, dropout=0.5).train_step([toy_batch(0)]).loss > 0.1


def test_gradients_are_those_of_the_distance_to_the_bare_base(tmp_path: Path) -> None:
    loop = toy_loop(tmp_path, dropout=0.0)
    lora = loop.state.trained
    assert isinstance(lora, Lora)
    filled(lora)
    own = {name: one.detach().double().requires_grad_() for name, one in lora.trainable().items()}
    noised = loop.objective.noise(prior(0), step=0, first_index=0)
    base = Toy().load_transformer(CPU)

    def answer(change: float) -> Tensor:
        """Compute the two layers by hand, in float64, with so much of B A added to their weights."""
        x, text = noised.x_t.double().movedim(1, -1), toy_batch(0).text.double().mean((1, 2)).view(-1, 1, 1, 1, 1)
        layers = {}
        for name in ("inward", "outward"):
            layer = base.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            update = own[f"{name}.lora_B.weight"] @ own[f"{name}.lora_A.weight"]
            layers[name] = (layer.weight.double() + change * update, layer.bias.double())
        hidden = nn.functional.linear(x, *layers["inward"]) + text
        level = 1 + noised.sigma.double().view(-1, 1, 1, 1, 1)
        return nn.functional.linear(torch.tanh(hidden * level), *layers["outward"])

    loss = (answer(1.0) - answer(0.0).detach()).square().mean()
    loss.backward()
    found = grads(loop, [prior(0)])
    for name, parameter in own.items():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 1e-3
        torch.testing.assert_close(found[name].double(), parameter.grad, rtol=1e-4, atol=1e-6)


def wan_loop(folder: Path, wan: Wan, *, recompute: bool = False) -> Loop:
    """Return a loop over the tiny model in training mode, its adapter filled, with dropout."""
    loop = toy_loop(folder)
    transformer = wan.load_transformer(CPU).train()
    if recompute:
        transformer.enable_gradient_checkpointing()  # pyright: ignore[reportCallIssue]
    options = AdapterOptions(lora_rank=2, lora_dropout=0.2)
    lora = filled(attach_lora(transformer, options, wan.facts.adapter_targets, seed=0))
    optimizer = build_optimizer("optimi-lion", list(lora.trainable().values()), learning_rate=1e-2)
    loop.family, loop.transformer, loop.state = wan, transformer, TrainState(lora, optimizer, None)
    return loop


def test_the_bases_answer_is_that_of_the_model_without_an_adapter_to_the_bit(tmp_path: Path, wan: Wan) -> None:
    loop, batch = wan_loop(tmp_path, wan), random_batch()
    noised = loop.objective.noise(batch, step=0, first_index=0)
    with torch.no_grad():
        stock = wan.predict(wan.load_transformer(CPU).eval(), noised, batch)
        own = wan.predict(loop.transformer, noised, batch)
    assert torch.equal(loop.answer_of_base(noised, batch), stock)
    assert not torch.allclose(own, stock, atol=1e-3)


def test_gradients_are_the_same_when_blocks_are_computed_anew(tmp_path: Path, wan: Wan) -> None:
    batches = [replace(random_batch(seed=1), prior=True), random_batch(seed=2)]
    plain, anew = (grads(wan_loop(tmp_path, wan, recompute=recompute), batches) for recompute in (False, True))
    assert plain.keys() == anew.keys()
    for name, grad in plain.items():
        assert grad.any()
        torch.testing.assert_close(anew[name], grad, rtol=1e-5, atol=1e-7)


def test_the_adapter_is_back_after_the_base_was_asked_even_when_that_fails(tmp_path: Path) -> None:
    class Broken(Toy):
        def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Tensor:
            if not torch.is_grad_enabled():
                raise RuntimeError("out of memory")
            return super().predict(transformer, noised, batch)

    loop = toy_loop(tmp_path, family=Broken(), dropout=0.0)
    assert isinstance(loop.state.trained, Lora)
    names = filled(loop.state.trained).trainable().keys()
    noised = loop.objective.noise(toy_batch(0), step=0, first_index=0)
    before = loop.family.predict(loop.transformer, noised, toy_batch(0))
    with pytest.raises(RuntimeError, match="out of memory"):
        loop.train_step([prior(0)])
    assert loop.transformer.training
    assert loop.state.trained.trainable().keys() == names
    assert torch.equal(loop.family.predict(loop.transformer, noised, toy_batch(0)), before)
    # One within another: the outer block is not ended by the inner one.
    with loop.state.trained.disabled():
        with loop.state.trained.disabled():
            pass
        assert not torch.equal(loop.family.predict(loop.transformer, noised, toy_batch(0)), before)


def mixed(start: int, end: int) -> Generator[Batch, None, None]:
    """Yield regularisation data at every third position."""
    for position in range(start, end):
        yield prior(position) if position % 3 == 1 else toy_batch(position)


def test_a_run_with_regularisation_data_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    def loop(name: str) -> tuple[Loop, Ears]:
        ears = Ears()
        return toy_loop(tmp_path / name, steps=8, accumulation=2, sinks=[ears], read_batches=mixed), ears

    def losses(ears: Ears) -> dict[int, float]:
        return {event.step: event.loss for event in ears.of(StepDone)}

    unbroken, whole = loop("a")
    unbroken.run()
    stopping, first = loop("b")
    stopping.stop_requested = lambda: stopping.state.step == 4
    stopping.run()
    torch.rand(7)
    continued, second = loop("b")
    continued.state.restore(continued.keeping.checkpoints.load(4))
    continued.run()
    assert losses(first) | losses(second) == losses(whole)
    one, two = unbroken.state.weights(), continued.state.weights()
    assert all(torch.equal(one[kind][name], two[kind][name]) for kind in one for name in one[kind])
