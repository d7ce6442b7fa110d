"""Gradients measured before they are limited, against float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from reeltune.train.clipping import clipping


def parameters_with_gradients() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in [(30, 20), (7,), (1,)]]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return [*parameters, nn.Parameter(torch.zeros(3))]  # the last one got no gradient


def gradients(parameters: list[nn.Parameter]) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten().double() for parameter in parameters if parameter.grad is not None])


@pytest.mark.parametrize(("method", "limit"), [("value", 0.3), ("norm", 0.3), ("norm", 1e9), ("value", 0.0)])
def test_norm_and_largest_element_are_those_before(method: str, limit: float) -> None:
    parameters = parameters_with_gradients()
    before = gradients(parameters)
    measured = clipping(method, limit)(parameters)
    assert measured.norm.dtype == measured.largest.dtype == torch.float32
    assert measured.norm.item() == pytest.approx(before.norm().item(), rel=1e-6)
    assert measured.largest.item() == before.abs().max().item()
    after = {
        "value": before.clamp(-limit, limit) if limit else before,
        "norm": before * min(1.0, limit / before.norm().item()),
    }[method]
    # The norm is divided by with 1e-6 added to it, which is 4e-8 of it; the rest is rounding of float32.
    torch.testing.assert_close(gradients(parameters), after, rtol=1e-6, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_shows_in_both(bad: float) -> None:
    parameters = parameters_with_gradients()
    assert parameters[0].grad is not None
    parameters[0].grad[3, 3] = bad
    measured = clipping("value", 0.3)(parameters)
    assert not measured.norm.isfinite()
    assert not measured.largest.isfinite()


def test_without_gradients_there_is_nothing_to_measure() -> None:
    measured = clipping("norm", 1.0)([nn.Parameter(torch.zeros(3))])
    assert measured.norm.item() == measured.largest.item() == 0
