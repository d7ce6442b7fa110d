"""Learning rates, averages and clipping against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from reeltune.train.clipping import clipping
from reeltune.train.ema import Ema, decay_at
from reeltune.train.schedule import Every, Schedule


def schedule(name: str, *, warmup: int = 0, total: int = 101, peak: float = 1e-3, end: float = 1e-5) -> Schedule:
    return Schedule(name, peak=peak, end=end, warmup=warmup, total=total)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_decays_reach_their_end_at_the_last_step(name: str) -> None:
    curve = schedule(name, warmup=10)
    assert curve.rate(9) == pytest.approx(1e-3)
    assert curve.rate(10) == pytest.approx(1e-3)
    assert curve.rate(100) == pytest.approx(1e-5)
    assert [curve.rate(step) for step in range(10)] == pytest.approx([1e-4 * (step + 1) for step in range(10)])


def test_half_way_down() -> None:
    assert schedule("cosine").rate(50) == pytest.approx((1e-3 + 1e-5) / 2)
    assert schedule("linear").rate(25) == pytest.approx(0.75 * 1e-3 + 0.25 * 1e-5)


def test_a_cosine_whose_warm_up_is_the_whole_run_decays_from_full_rate() -> None:
    curve = schedule("cosine", warmup=400_000, total=400_000, peak=5e-5, end=4e-7)
    expected = {0: 5e-5, 100_000: 4.27e-5, 200_000: 2.52e-5, 399_999: 4e-7}
    for step, rate in expected.items():
        assert curve.rate(step) == pytest.approx(rate, rel=2e-3)


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
    assert clipping("value", 1.0)(by_value).item() == pytest.approx(norm)
    assert grads(by_value) == [1.0, -1.0, 0.5]
    assert clipping("norm", 1.0)(by_norm).item() == pytest.approx(norm)
    assert grads(by_norm) == pytest.approx([3 / norm, -4 / norm, 0.5 / norm], rel=1e-5)
    assert clipping("norm", 0.0)(measured).item() == pytest.approx(norm)
    assert grads(measured) == [3.0, -4.0, 0.5]
