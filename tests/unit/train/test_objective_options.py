"""Options of noise and loss reach the loop: each changes what a step measures, and only as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from helpers.toy import Toy, toy_batch, toy_loop
from reeltune.config.objective import ObjectiveOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.objective.flow import objective_of
from reeltune.randomness import Draws
from reeltune.train.loop import Loop


def loop_with(folder: Path, *, accumulation: int = 1, **options: Any) -> Loop:
    objective = objective_of(ObjectiveOptions(**options), Draws(0), samples_per_step=2 * accumulation)
    return toy_loop(folder, accumulation=accumulation, objective=objective)


def masked(position: int) -> Batch:
    mask = torch.ones(2, 2, 4, 4)
    mask[0, :, :2] = 0
    return replace(toy_batch(position), mask=mask)


def loss_of_a_step(folder: Path, batch: Batch, **options: Any) -> float:
    return loop_with(folder, **options).train_step([batch]).loss


def test_without_options_the_loop_is_what_it_was(tmp_path: Path) -> None:
    assert loss_of_a_step(tmp_path, toy_batch(0)) == toy_loop(tmp_path).train_step([toy_batch(0)]).loss


@pytest.mark.parametrize(
    "options",
    [
        {"flow_sigmoid_mean": 1.0},
        {"flow_sigmoid_scale": 2.0},
        {"flow_use_uniform_schedule": True},
        {"flow_use_beta_schedule": True},
        {"flow_stratified_sampling": True},
        {"flow_schedule_shift": 3.0},
        {"flow_schedule_auto_shift": True},
        {"loss_type": "huber"},
        {"loss_type": "smooth_l1"},
        {"loss_weighting": "sigma_sqrt"},
        {"loss_weighting": "cosmap"},
    ],
    ids=str,
)
def test_each_option_is_really_effective(tmp_path: Path, options: dict[str, Any]) -> None:
    assert loss_of_a_step(tmp_path, toy_batch(0), **options) != loss_of_a_step(tmp_path, toy_batch(0))


@pytest.mark.parametrize(
    ("options", "beside"),
    [
        ({"huber_c": 0.3}, {"loss_type": "huber"}),
        ({"huber_schedule": "constant"}, {"loss_type": "huber"}),
        ({"huber_schedule": "exponential"}, {"loss_type": "smooth_l1"}),
        ({"flow_beta_schedule_alpha": 3.0}, {"flow_use_beta_schedule": True}),
        ({"flow_beta_schedule_beta": 3.0}, {"flow_use_beta_schedule": True}),
    ],
    ids=str,
)
def test_each_number_counts_beside_its_switch(tmp_path: Path, options: dict[str, Any], beside: dict[str, Any]) -> None:
    plain = loss_of_a_step(tmp_path, toy_batch(0), **beside)
    assert loss_of_a_step(tmp_path, toy_batch(0), **beside, **options) != plain


def test_a_mask_counts_unless_its_samples_are_trained_whole(tmp_path: Path) -> None:
    whole = loss_of_a_step(tmp_path, toy_batch(0))
    assert loss_of_a_step(tmp_path, masked(0)) != whole
    assert loss_of_a_step(tmp_path, masked(0), masked_loss_probability=0) == whole


def test_an_offset_moves_the_levels_of_its_batches_alone(tmp_path: Path) -> None:
    loop = loop_with(tmp_path)
    moved = loop.objective.noise(replace(toy_batch(1), sigma_offset=1.0), step=0, first_index=0).sigma
    plain = loop.objective.noise(toy_batch(1), step=0, first_index=0).sigma
    assert (moved > plain).all()


@pytest.mark.parametrize("loss_type", ["l2", "huber", "smooth_l1"])
def test_masks_and_losses_hold_for_the_bases_own_answers(tmp_path: Path, loss_type: str) -> None:
    options: dict[str, Any] = {"loss_type": loss_type, "loss_weighting": "cosmap"}
    prior = replace(masked(0), prior=True)
    # An adapter that changes nothing yet answers as the base does; dropout has nothing to drop from.
    assert loss_of_a_step(tmp_path, prior, **options) == 0

    class Spoilt(Toy):
        """Answers what is wrong by 9 in the first rows of the first sample, where the mask is 0."""

        calls = 0

        def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> torch.Tensor:
            answer = super().predict(transformer, noised, batch)
            self.calls += 1
            if self.calls == 1:  # of the base; the adapter's comes second
                answer = answer.clone()
                answer[0, :, :, :2] += 9
            return answer

    spoilt = loop_with(tmp_path, **options)
    spoilt.family = Spoilt()
    assert spoilt.train_step([prior]).loss == 0
    spoilt = loop_with(tmp_path, **options)
    spoilt.family = Spoilt()
    assert spoilt.train_step([replace(prior, mask=None)]).loss > 0.1
