"""The moving average against its closed form, wherever it is kept, however it is updated, and over a restart."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.trained import PlainTensors
from reeltune.adapters.full import FullModel
from reeltune.train.checkpoint import Checkpoints
from reeltune.train.ema import Ema
from reeltune.train.optimizers import build_optimizer
from reeltune.train.state import TrainState

STEPS, LIMIT = 240, 0.95
"""The ramp reaches the limit at step 170: (1 + 170) / (10 + 170) = 0.95."""


def path_of_weights(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(STEPS + 1, 40, generator=generator).cumsum(0))


def closed_form(weights: list[Tensor], *, interval: int, until: int) -> Tensor:
    """Return the average as one weighted sum in float64: sum over updates of (1 - kept) times what later ones keep."""
    decays = [min((1 + k) / (10 + k), LIMIT) if k else 0.0 for k in range(until)]
    updates = range(interval, until + 1, interval)
    kept = [math.prod(decays[step - interval : step]) for step in updates]
    total = math.prod(kept) * weights[0].double()
    for place, step in enumerate(updates):
        total += (1 - kept[place]) * math.prod(kept[place + 1 :]) * weights[step].double()
    return total


@pytest.mark.parametrize("interval", [1, 2, 7])
@pytest.mark.parametrize("on_host", [False, True], ids=["beside", "on the host"])
@pytest.mark.parametrize("foreach", [False, True], ids=["one by one", "together"])
def test_two_hundred_steps_are_the_closed_form(interval: int, on_host: bool, foreach: bool) -> None:
    weights = path_of_weights()
    parameter = nn.Parameter(weights[0].clone())
    ema = Ema({"p": parameter}, decay=LIMIT, interval=interval, on_host=on_host, foreach=foreach)
    for step in range(1, STEPS + 1):
        parameter.data.copy_(weights[step])
        ema.update(step)
    # Values of up to 40 have a rounding of 2e-6 in float32, and an average keeps about twenty of them.
    expected = closed_form(weights, interval=interval, until=STEPS)
    torch.testing.assert_close(ema.shadow["p"].double(), expected, rtol=0, atol=4e-5)


def test_where_and_how_it_is_kept_changes_no_number() -> None:
    weights, averages = path_of_weights(), []
    for on_host, foreach in [(False, True), (False, False), (True, True), (True, False)]:
        parameter = nn.Parameter(weights[0].clone())
        ema = Ema({"p": parameter}, decay=LIMIT, interval=3, on_host=on_host, foreach=foreach)
        for step in range(1, 100):
            parameter.data.copy_(weights[step])
            ema.update(step)
        averages.append(ema.shadow["p"])
    assert all(torch.equal(averages[0], other) for other in averages[1:])


def test_on_the_host_weights_are_taken_as_they_were_at_their_step() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    ema = Ema({"p": parameter}, decay=0.5, interval=1, on_host=True)
    parameter.data.fill_(1)
    ema.update(1)
    parameter.data.fill_(100)  # the next step moves the weights before the average is looked at
    assert torch.equal(ema.shadow["p"], torch.ones(3))


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("on_host", [False, True], ids=["beside", "on the host"])
def test_a_restart_between_two_updates_changes_no_bit(interval: int, on_host: bool, tmp_path: Path) -> None:
    weights = path_of_weights()

    def state() -> TrainState:
        trained = PlainTensors({"p": (40,)})
        optimizer = build_optimizer("torch-sgd", list(trained.tensors.values()), learning_rate=1.0)
        return TrainState(trained, optimizer, Ema(trained.tensors, decay=LIMIT, interval=interval, on_host=on_host))

    def go_on(run: TrainState, until: int) -> None:
        assert run.ema
        while run.step < until:
            run.trained.load({"p": weights[run.step + 1]})
            run.step += 1
            run.ema.update(run.step)

    straight, stopped, continued = state(), state(), state()
    go_on(straight, 40)
    go_on(stopped, 22)
    checkpoints = Checkpoints(tmp_path, limit=1)
    checkpoints.save(stopped.snapshot(), {}, lambda folder: None)
    continued.restore(checkpoints.load(22))
    go_on(continued, 40)
    assert torch.equal(straight.weights()["ema"]["p"], continued.weights()["ema"]["p"])


def test_of_a_whole_model_the_masters_are_averaged() -> None:
    layer = nn.Linear(3, 2, dtype=torch.bfloat16)
    model = FullModel(layer)
    start = {name: master.detach().clone() for name, master in model.trainable().items()}
    ema = Ema(model.trainable(), decay=0.9, interval=1)
    for step in range(1, 4):
        with torch.no_grad():
            for master in model.trainable().values():
                master.add_(1e-4)  # less than bfloat16 can tell apart at most of these weights
        model.moved()
        ema.update(step)
    # Kept: 0, 2/11, 3/12. The average of 1, 2, 3 steps of 1e-4.
    moved = (1 * 2 / 11 + 2 * 9 / 11) * 0.25 + 3 * 0.75
    for name, tensor in ema.shadow.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, start[name] + moved * 1e-4, rtol=0, atol=1e-6)
    with model.holding(ema.shadow):
        assert torch.equal(layer.weight, ema.shadow["weight"].bfloat16())
    assert torch.equal(layer.weight, model.trainable()["weight"].bfloat16())
