"""The running loss of each tenth of the noise levels."""

from __future__ import annotations

import random

import pytest

from reeltune.train.running_losses import BINS, HORIZON, RunningLosses


def test_it_is_the_mean_at_first_and_an_exponential_one_later() -> None:
    generator = random.Random(3)
    losses = [generator.random() for _ in range(3 * HORIZON)]
    running = RunningLosses()
    for count, loss in enumerate(losses, start=1):
        running.add([0.25], [loss])
        expected = sum(losses[: min(count, HORIZON)]) / min(count, HORIZON)
        for later in losses[HORIZON:count]:
            expected = (1 - 1 / HORIZON) * expected + later / HORIZON
        assert running.means()[2] == pytest.approx(expected, rel=1e-12)
    assert [mean for place, mean in enumerate(running.means()) if place != 2] == [None] * (BINS - 1)


def test_each_level_counts_in_its_own_tenth_and_pure_noise_in_the_last() -> None:
    running = RunningLosses()
    running.add([0.0, 0.1, 0.95, 1.0], [1.0, 2.0, 3.0, 5.0])
    assert running.means() == (1.0, 2.0, *[None] * 7, 4.0)
