"""Learning rates, averages and clipping against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from diffusers.optimization import (
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
)
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from reeltune.config.optimization import OptimizationOptions
from reeltune.train.clipping import clipping
from reeltune.train.ema import Ema, decay_at
from reeltune.train.schedule import CURVES, Every, Schedule, schedule_of

DECAYING = ["cosine", "cosine_with_restarts", "linear", "polynomial", "sine"]
FORGOING = ["cosine", "cosine_with_restarts", "sine"]


def schedule(
    name: str, *, warmup: int = 0, total: int = 101, peak: float = 1e-3, end: float = 1e-5, cycles: int = 1
) -> Schedule:
    return Schedule(name, peak=peak, end=end, warmup=warmup, total=total, cycles=cycles)


def stepped(make: Callable[[SGD], LRScheduler], *, peak: float, steps: int) -> list[float]:
    """Return the rates that a scheduler of torch's kind gives to steps 0 to `steps`."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler, rates = make(optimizer), []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", DECAYING)
def test_decays_reach_their_end_at_the_last_step(name: str) -> None:
    curve = schedule(name, warmup=10)
    assert curve.rate(9) == pytest.approx(1e-3)
    assert curve.rate(10) == pytest.approx(1e-3)
    assert curve.rate(100) == pytest.approx(1e-5)
    assert [curve.rate(step) for step in range(10)] == pytest.approx([1e-4 * (step + 1) for step in range(10)])


@pytest.mark.parametrize("name", DECAYING)
def test_decays_only_fall_after_the_warm_up(name: str) -> None:
    rates = [schedule(name, warmup=10).rate(step) for step in range(10, 101)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)


def test_cosine_is_torchs() -> None:
    theirs = stepped(lambda optimizer: CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-5), peak=1e-3, steps=100)
    assert [schedule("cosine").rate(step) for step in range(101)] == pytest.approx(theirs)


@pytest.mark.parametrize("cycles", [1, 2, 3, 7])
def test_restarts_are_those_of_diffusers(cycles: int) -> None:
    theirs = stepped(
        lambda optimizer: get_cosine_with_hard_restarts_schedule_with_warmup(
            optimizer, num_warmup_steps=0, num_training_steps=100, num_cycles=cycles
        ),
        peak=1e-3,
        steps=100,
    )
    curve = schedule("cosine_with_restarts", end=0.0, cycles=cycles)
    assert [curve.rate(step) for step in range(101)] == pytest.approx(theirs, abs=1e-12)


def test_a_restart_is_on_its_step_and_the_end_is_no_restart() -> None:
    for cycles in range(1, 12):
        # Some thirds, sevenths... are not exact in floating point.
        curve = schedule("cosine_with_restarts", total=100 * cycles + 1, cycles=cycles)
        full = [step for step in range(curve.total) if curve.rate(step) == pytest.approx(1e-3, rel=1e-6)]
        assert full == [100 * cycle for cycle in range(cycles)]
        assert curve.rate(100 * cycles) == pytest.approx(1e-5)


@pytest.mark.parametrize("power", [0.8, 2.0])
def test_polynomial_is_that_of_diffusers_after_the_warm_up(power: float) -> None:
    theirs = stepped(
        lambda optimizer: get_polynomial_decay_schedule_with_warmup(
            optimizer, num_warmup_steps=10, num_training_steps=100, lr_end=1e-5, power=power
        ),
        peak=1e-3,
        steps=100,
    )
    curve = Schedule("polynomial", peak=1e-3, end=1e-5, warmup=10, total=101, power=power)
    # Theirs rises from 0 at step 0, ours reaches the full rate one step earlier.
    assert [curve.rate(step) for step in range(10, 101)] == pytest.approx(theirs[10:])


def test_sine_is_a_quarter_of_a_sine() -> None:
    curve = schedule("sine", peak=1.0, end=0.0)
    assert curve.rate(0) == 1.0
    assert curve.rate(50) == pytest.approx(math.sqrt(0.5))
    assert curve.rate(67) == pytest.approx(math.sin(math.radians(90 * 0.33)))
    assert curve.rate(100) == 0.0


def test_half_way_down() -> None:
    assert schedule("cosine").rate(50) == pytest.approx((1e-3 + 1e-5) / 2)
    assert schedule("linear").rate(25) == pytest.approx(0.75 * 1e-3 + 0.25 * 1e-5)


def test_a_cosine_whose_warm_up_is_the_whole_run_decays_from_full_rate() -> None:
    curve = schedule("cosine", warmup=400_000, total=400_000, peak=5e-5, end=4e-7)
    expected = {0: 5e-5, 100_000: 4.27e-5, 200_000: 2.52e-5, 399_999: 4e-7}
    for step, rate in expected.items():
        assert curve.rate(step) == pytest.approx(rate, rel=2e-3)


@pytest.mark.parametrize("name", FORGOING)
@pytest.mark.parametrize("warmup", [101, 102, 10_000])
def test_cosines_forgo_a_warm_up_that_is_as_long_as_the_run(name: str, warmup: int) -> None:
    whole, none = schedule(name, warmup=warmup), schedule(name, warmup=0)
    assert whole.effective_warmup == 0
    assert [whole.rate(step) for step in range(101)] == [none.rate(step) for step in range(101)]
    assert schedule(name, warmup=100).effective_warmup == 100


@pytest.mark.parametrize("name", ["linear", "polynomial", "constant_with_warmup"])
def test_other_curves_rise_for_as_long_as_they_are_told(name: str) -> None:
    curve = schedule(name, warmup=202)
    assert [curve.rate(step) for step in range(101)] == pytest.approx([1e-3 * (step + 1) / 202 for step in range(101)])


def test_the_options_offer_every_curve_and_pass_on_all_that_shapes_it() -> None:
    assert set(get_args(OptimizationOptions.model_fields["lr_scheduler"].annotation)) == set(CURVES)
    options = OptimizationOptions(
        lr_scheduler="polynomial", learning_rate=3e-4, lr_end=2e-6, lr_warmup_steps=7, lr_power=1.5, lr_num_cycles=4
    )
    assert schedule_of(options, 50, samples=4) == Schedule("polynomial", 3e-4, 2e-6, 7, 50, power=1.5, cycles=4)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("warmup", [0, 7, 50, 60])
def test_an_optimizer_that_averages_instead_of_decaying_warms_up_and_keeps_its_rate(name: Any, warmup: int) -> None:
    options = OptimizationOptions(optimizer="adamw_schedulefree", lr_scheduler=name, lr_warmup_steps=warmup)
    curve = schedule_of(options, 50, samples=1)
    expected = [1e-4 * min(1.0, (step + 1) / max(1, warmup)) for step in range(50)]
    assert [curve.rate(step) for step in range(50)] == pytest.approx(expected, rel=1e-12)


FORMULAS: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "constant_with_warmup": lambda progress: 1.0,
    "linear": lambda progress: 1 - progress,
    "polynomial": lambda progress: (1 - progress) ** 0.8,
    "cosine": lambda progress: math.cos(math.pi * progress / 2) ** 2,
    "sine": lambda progress: math.cos(math.pi * progress / 2),
    "cosine_with_restarts": lambda progress: (
        0.0 if progress == 1 else math.cos(math.pi * ((3 * progress + 1e-13) % 1) / 2) ** 2
    ),
}
"""The share of the way from the end up to the peak, at a progress of the decay from 0 to 1, written in another way."""


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_is_its_formula_at_every_step_wherever_a_run_starts(name: str) -> None:
    warmup = 0 if name == "constant" else 12
    for start in (0, 5, 60):  # a resumed run makes its schedule anew
        curve = schedule(name, warmup=12, total=112, cycles=3)
        for step in range(start, 112):
            share = FORMULAS[name]((step - warmup) / (111 - warmup)) if step >= warmup else None
            expected = 1e-3 * (step + 1) / warmup if share is None else 1e-5 + (1e-3 - 1e-5) * share
            assert curve.rate(step) == pytest.approx(expected, rel=1e-10), step


def test_constant_has_no_warm_up_and_constant_with_warmup_has() -> None:
    assert schedule("constant", warmup=10).rate(0) == 1e-3
    assert schedule("constant_with_warmup", warmup=10).rate(0) == pytest.approx(1e-4)
    assert schedule("constant_with_warmup", warmup=10).rate(100) == 1e-3


def test_rare_work_is_due_at_its_multiples() -> None:
    assert [step for step in range(10) if Every(3).due(step)] == [3, 6, 9]
    assert not any(Every(0).due(step) for step in range(10))


@pytest.mark.parametrize(
    ("steps_done", "decay"),
    [(1, 0.0), (2, 0.1818), (10, 0.5263), (100, 0.9174), (1000, 0.9911), (1790, 0.9950), (2000, 0.9950)],
)
def test_the_average_ramps_up(steps_done: int, decay: float) -> None:
    assert decay_at(steps_done - 1, 0.995) == pytest.approx(decay, abs=1e-4)


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_the_average_is_its_formula_in_float64(interval: int) -> None:
    parameter = nn.Parameter(torch.zeros(50, dtype=torch.float32))
    ema = Ema({"p": parameter}, decay=0.9, interval=interval)
    expected = torch.zeros(50, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    kept = 1.0
    for step in range(1, 31):
        with torch.no_grad():
            parameter.add_(torch.randn(50, generator=generator))
        ema.update(step)
        k = step - 1
        kept *= min((1 + k) / (10 + k), 0.9) if k else 0.0
        if step % interval == 0:
            expected = kept * expected + (1 - kept) * parameter.detach().double()
            kept = 1.0
    # 30 updates, each within one rounding of float32 of values below 10.
    torch.testing.assert_close(ema.shadow["p"].double(), expected, rtol=1e-6, atol=1e-5)


def test_the_average_of_bfloat16_weights_does_not_stall() -> None:
    parameter = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    ema = Ema({"p": parameter}, decay=0.999, interval=1)
    ema.update(1)
    with torch.no_grad():
        parameter.fill_(2.0)
    for step in range(10_000, 11_000):
        ema.update(step)
    assert ema.shadow["p"].dtype == torch.float32
    assert ema.shadow["p"][0].item() == pytest.approx(2 - 0.999**1000, abs=1e-3)


def gradients(*values: float) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = torch.tensor([value])
    return parameters


def grads(parameters: list[nn.Parameter]) -> list[float]:
    return [parameter.grad.item() for parameter in parameters if parameter.grad is not None]


def test_value_clamps_each_element_and_norm_scales_all() -> None:
    by_value, by_norm, measured = (gradients(3.0, -4.0, 0.5) for _ in range(3))
    norm = math.sqrt(9 + 16 + 0.25)
    assert clipping("value", 1.0)(by_value).norm.item() == pytest.approx(norm)
    assert grads(by_value) == [1.0, -1.0, 0.5]
    assert clipping("norm", 1.0)(by_norm).norm.item() == pytest.approx(norm)
    assert grads(by_norm) == pytest.approx([3 / norm, -4 / norm, 0.5 / norm], rel=1e-5)
    assert clipping("norm", 0.0)(measured).norm.item() == pytest.approx(norm)
    assert grads(measured) == [3.0, -4.0, 0.5]
