"""The loss is its formula in float64, whatever its kind, weight and mask."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.training_utils import compute_loss_weighting_for_sd3

from helpers.tiny import random_batch
from reeltune.config.objective import ObjectiveOptions
from reeltune.contracts.batch import Noised
from reeltune.objective.flow import FlowMatching
from reeltune.objective.loss import Loss, loss_of, mean_squared_error
from reeltune.randomness import Draws

SIGMAS = (0.02, 0.5, 0.97)
SHAPE = (3, 4, 2, 6, 5)

KINDS = [
    Loss(kind, c, schedule, weighting)
    for kind, c, schedule in (
        ("l2", 0.1, "snr"),
        ("huber", 0.1, "snr"),
        ("huber", 0.5, "exponential"),
        ("smooth_l1", 0.001, "constant"),
        ("smooth_l1", 1.0, "snr"),
    )
    for weighting in ("none", "sigma_sqrt", "cosmap")
]


def example(mask: torch.Tensor | None = None) -> tuple[torch.Tensor, Noised]:
    generator = torch.Generator().manual_seed(5)
    velocity, target = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    # Errors of all sizes: from far below c to far above it.
    velocity = target + (velocity - target) * torch.logspace(-4, 1, 5)
    return velocity, Noised(x_t=target, sigma=torch.tensor(SIGMAS), target=target, mask=mask)


def half_mask() -> torch.Tensor:
    mask = torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(8))
    return mask * (torch.arange(6) < 3).view(6, 1)


def formula(loss: Loss, velocity: torch.Tensor, noised: Noised) -> np.ndarray:
    """Return the loss of each sample as it is written in papers, in float64, sample by sample."""
    found = []
    for index, sigma in enumerate(noised.sigma.double().tolist()):
        d = (velocity[index].double() - noised.target[index].double()).numpy()
        c = {
            "constant": loss.c,
            "exponential": loss.c**sigma,
            "snr": (1 - loss.c) / (1 + sigma / (1 - sigma)) ** 2 + loss.c,
        }[loss.schedule]
        root = np.sqrt(d**2 + c**2) - c
        error = {"l2": d**2, "huber": 2 * c * root, "smooth_l1": 2 * root}[loss.kind]
        mask = np.ones(d.shape[1:]) if noised.mask is None else noised.mask[index].double().numpy()
        weight = {"none": 1, "sigma_sqrt": sigma**-2, "cosmap": 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2))}
        found.append(weight[loss.weighting] * (mask * error).sum() / (len(d) * mask.sum()))
    return np.array(found)


@pytest.mark.parametrize("loss", KINDS, ids=str)
@pytest.mark.parametrize("mask", [None, half_mask()], ids=["whole", "masked"])
def test_every_loss_is_its_formula_in_float64(loss: Loss, mask: torch.Tensor | None) -> None:
    velocity, noised = example(mask)
    # A few roundings of float32 in each error, and their sum over 240 of one sign.
    np.testing.assert_allclose(loss.of(velocity, noised).numpy(), formula(loss, velocity, noised), rtol=2e-6)


@pytest.mark.parametrize("loss", KINDS, ids=str)
def test_gradients_are_those_of_the_formula(loss: Loss) -> None:
    velocity, noised = example(half_mask())
    asked = velocity.requires_grad_()
    loss.of(asked, noised).sum().backward()
    precise = velocity.detach().double().requires_grad_()
    d, sigma = precise - noised.target.double(), noised.sigma.double()
    c = {"constant": loss.c + 0 * sigma, "exponential": loss.c**sigma, "snr": (1 - loss.c) * (1 - sigma) ** 2 + loss.c}
    c = c[loss.schedule].view(-1, 1, 1, 1, 1)
    root = (d**2 + c**2).sqrt() - c
    assert noised.mask is not None
    mask = noised.mask.double()
    error = {"l2": d**2, "huber": 2 * c * root, "smooth_l1": 2 * root}[loss.kind] * mask[:, None]
    weight = {"none": 1.0, "sigma_sqrt": sigma**-2, "cosmap": 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2))}
    (weight[loss.weighting] * error.sum((1, 2, 3, 4)) / (4 * mask.sum((1, 2, 3)))).sum().backward()
    assert asked.grad is not None
    # The difference of two float32 numbers, of which some are 10^-4 of their size: what is left has 4 digits less.
    torch.testing.assert_close(asked.grad.double(), precise.grad, rtol=2e-3, atol=1e-9)


def test_the_plain_loss_is_the_mean_square_to_the_bit() -> None:
    velocity, noised = example()
    assert torch.equal(Loss().of(velocity, noised), mean_squared_error(velocity, noised.target))


@pytest.mark.parametrize("weighting", ["sigma_sqrt", "cosmap"])
def test_weights_are_those_of_diffusers(weighting: str) -> None:
    velocity, noised = example()
    weights = compute_loss_weighting_for_sd3(weighting, noised.sigma)
    # Rounded in another order.
    torch.testing.assert_close(Loss(weighting=weighting).of(velocity, noised), weights * Loss().of(velocity, noised))


def test_small_errors_count_squared_and_large_ones_by_their_size() -> None:
    def of(kind: str, error: float) -> float:
        target = torch.zeros(1, 1, 1, 1, 1)
        noised = Noised(x_t=target, sigma=torch.tensor([0.3]), target=target)
        return float(Loss(kind, 0.1, "constant").of(target + error, noised))

    # Where c is 0.1: 1e-4 is far below, 100 far above. In float32 c^2 + d^2 - c^2 would leave nothing of 1e-8.
    assert of("huber", 1e-4) == pytest.approx(1e-8, rel=1e-5)
    assert of("smooth_l1", 1e-4) == pytest.approx(1e-7, rel=1e-5)
    assert of("huber", 100.0) == pytest.approx(2 * 0.1 * (100 - 0.1), rel=1e-5)
    assert of("smooth_l1", 100.0) == pytest.approx(2 * (100 - 0.1), rel=1e-5)


@pytest.mark.parametrize("schedule", ["snr", "exponential"])
def test_schedules_go_from_one_to_c(schedule: str) -> None:
    target = torch.zeros(2, 1, 1, 1, 1)
    noised = Noised(x_t=target, sigma=torch.tensor([2.0**-24, 1 - 2.0**-24]), target=target)
    clean, noisy = Loss("smooth_l1", 0.1, schedule).of(target + 1, noised).tolist()
    assert clean == pytest.approx(2 * (math.sqrt(2) - 1), rel=1e-6)
    assert noisy == pytest.approx(2 * (math.sqrt(1.01) - 0.1), rel=1e-6)


@pytest.mark.parametrize("loss", KINDS, ids=str)
def test_a_mask_of_ones_is_no_mask_to_the_bit(loss: Loss) -> None:
    velocity, noised = example()
    masked = replace(noised, mask=torch.ones(3, 2, 6, 5))
    gradients = []
    for one in (noised, masked):
        asked = velocity.clone().requires_grad_()
        loss.of(asked, one).sum().backward()
        gradients.append(asked.grad)
    assert torch.equal(loss.of(velocity, noised), loss.of(velocity, masked))
    assert torch.equal(*gradients)


@pytest.mark.parametrize("loss", KINDS, ids=str)
def test_what_does_not_count_has_no_gradient_at_all(loss: Loss) -> None:
    velocity, noised = example(half_mask())
    asked = velocity.requires_grad_()
    loss.of(asked, noised).sum().backward()
    assert asked.grad is not None
    assert noised.mask is not None
    outside = (noised.mask == 0).unsqueeze(1).expand(SHAPE)
    assert (asked.grad[outside] == 0).all()
    assert (asked.grad[~outside] != 0).all()
    other = torch.where(outside, velocity.detach() + 100, velocity.detach())
    assert torch.equal(loss.of(other, noised), loss.of(velocity, noised))


def test_an_empty_mask_gives_no_loss_and_the_other_samples_theirs() -> None:
    mask = half_mask()
    mask[1] = 0
    velocity, noised = example(mask)
    asked = velocity.requires_grad_()
    loss = Loss("huber", weighting="cosmap").of(asked, noised)
    loss.sum().backward()
    assert loss[1] == 0
    assert asked.grad is not None
    assert (asked.grad[1] == 0).all()
    assert torch.isfinite(asked.grad).all()
    without = Loss("huber", weighting="cosmap").of(*example(half_mask()))
    assert torch.equal(loss[[0, 2]], without[[0, 2]])


def test_a_small_mask_counts_as_much_as_a_whole_frame() -> None:
    target = torch.zeros(2, 4, 2, 6, 5)
    mask = torch.ones(2, 2, 6, 5)
    mask[1] = 0
    mask[1, 0, 2, 3] = 0.25
    noised = Noised(x_t=target, sigma=torch.tensor([0.5, 0.5]), target=target, mask=mask)
    assert Loss().of(target + 2, noised).tolist() == [4, 4]


def test_half_of_the_samples_are_masked_where_half_is_asked() -> None:
    batch = replace(random_batch(size=4), mask=torch.full((4, 5, 8, 12), 0.5))

    def masked(step: int, first_index: int = 0, share: float = 0.5) -> list[bool]:
        noised = FlowMatching(Draws(3), masked_share=share).noise(batch, step=step, first_index=first_index)
        assert noised.mask is not None
        assert all(len(sample.unique()) == 1 for sample in noised.mask)
        return (noised.mask[:, 0, 0, 0] == 0.5).tolist()

    chosen = [one for step in range(50) for one in masked(step)]
    # 200 throws of a fair coin: 6 standard deviations are 42.
    assert abs(sum(chosen) - 100) < 42
    # By position alone: two samples further on in the step, and asked again.
    assert masked(7, first_index=2)[:2] == masked(7)[2:]
    assert masked(7) == masked(7)
    assert (all(masked(1, share=1.0)), any(masked(1, share=0.0))) == (True, False)
    assert FlowMatching(Draws(3), masked_share=0.5).noise(random_batch(), step=0, first_index=0).mask is None


def test_masks_and_kinds_of_loss_hold_for_a_wanted_answer_of_the_base() -> None:
    # Regularisation data replaces the target alone: mask and level stay.
    velocity, noised = example(half_mask())
    answer = replace(noised, target=noised.target + 0.3)
    loss = Loss("smooth_l1", 0.2, "exponential", "cosmap")
    np.testing.assert_allclose(loss.of(velocity, answer).numpy(), formula(loss, velocity, answer), rtol=2e-6)
    assert loss.of(answer.target, answer).tolist() == [0, 0, 0]


def test_options_name_a_loss() -> None:
    assert loss_of(ObjectiveOptions()) == Loss()
    options = ObjectiveOptions(loss_type="huber", huber_c=0.3, huber_schedule="constant", loss_weighting="sigma_sqrt")
    assert loss_of(options) == Loss("huber", 0.3, "constant", "sigma_sqrt")


def test_everything_is_float32_for_an_answer_in_bfloat16() -> None:
    velocity, noised = example(half_mask())
    assert Loss("huber").of(velocity.bfloat16(), noised).dtype == torch.float32
