"""The verdict: learning, overfitting and neither are told apart, and chance is seldom taken for any of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from helpers.measurements import measurement
from reeltune.train.measurement import Measurement
from reeltune.train.verdict import compare, half_width, judge

CLIPS = np.array([0.1, 0.25, 0.4, 0.9])
"""Losses of clips that differ in how hard they are by far more than training moves them."""


def series(*levels: float, jitter: float = 0.0, clips: np.ndarray = CLIPS, seed: int = 0) -> list[Measurement]:
    """Return measurements every 10 steps, each with the clips' losses times a level, and jitter of each on its own."""
    generator = np.random.default_rng(seed)
    noise = 1 + jitter * generator.standard_normal((len(levels), len(clips), 3))
    return [
        measurement(10 * index, level * clips[:, None] * noise[index] * np.array([1.0, 0.8, 0.6]))
        for index, level in enumerate(levels)
    ]


def test_the_first_measurement_is_compared_with_nothing() -> None:
    assert judge(series(1.0)).kind == "first"


def test_a_fall_is_learning_and_said_with_its_numbers() -> None:
    verdict = judge(series(1.0, 0.9, jitter=0.01))
    assert verdict.kind == "learning"
    known = series(1.0, 0.9, jitter=0.01)
    assert f"held-out loss fell from {known[0].loss:.4f} to {known[1].loss:.4f} (-" in verdict.text
    assert "over 4 clips" in verdict.text


def test_pairs_find_a_fall_that_the_spread_over_clips_hides() -> None:
    before, after = series(1.0, 0.95, jitter=0.005)
    assert before.standard_error is not None
    assert before.loss - after.loss < before.standard_error
    assert judge([before, after]).kind == "learning"


def test_an_interval_is_that_of_scipy() -> None:
    before, after = series(1.0, 0.97, jitter=0.02)
    changes = [np.log(two.mean / one.mean) for one, two in zip(before.clips, after.clips, strict=True)]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(changes), scale=stats.sem(changes))
    change = compare(before, after)
    assert change.size - change.half_width == pytest.approx(low, rel=1e-9)
    assert change.size + change.half_width == pytest.approx(high, rel=1e-9)


def test_overfitting_names_the_step_since_when_and_needs_two_measurements() -> None:
    known = series(1.0, 0.9, 0.8, 0.85, 0.92, jitter=0.005)
    assert [judge(known[:count]).kind for count in range(1, 6)] == [
        *("first", "learning", "learning", "learning", "overfitting")
    ]
    text = judge(known).text
    assert text.startswith("overfitting since step 20: held-out loss rose from ")
    assert f"from {known[2].loss:.4f} to {known[4].loss:.4f} (+" in text
    assert f"the lowest was {known[2].loss:.4f} at step 20" in judge(known[:4]).text


def test_a_loss_that_only_rises_is_worse_and_no_overfitting() -> None:
    known = series(1.0, 1.1, 1.2, 1.3, jitter=0.005)
    assert [judge(known[:count]).kind for count in (2, 3, 4)] == ["worse"] * 3
    assert judge(known).text.startswith("worse than at step 0: held-out loss rose from ")


def test_a_change_too_small_to_matter_is_no_effect_however_certain() -> None:
    assert judge(series(1.0, 0.9995)).kind == "no effect"
    assert judge(series(1.0, 0.998)).kind == "learning"


def test_chance_is_seldom_taken_for_an_effect() -> None:
    """Twenty measurements of weights that only jitter: 2.5 % of single verdicts may err on either side."""
    kinds: Counter[str] = Counter()
    runs_that_overfit = 0
    for seed in range(50):
        known = series(*[1.0] * 20, jitter=0.03, seed=seed)
        verdicts = [judge(known[:count]).kind for count in (5, 10, 15, 20)]
        kinds.update(verdicts)
        runs_that_overfit += "overfitting" in verdicts
    # 200 verdicts, those of one run not independent: 2.5 % of them are 5; three times that is far out.
    assert kinds["learning"] <= 15
    assert kinds["worse"] <= 15
    assert runs_that_overfit <= 1


@pytest.mark.parametrize("clips", [1, 2])
def test_few_clips_are_compared_level_by_level_and_the_verdict_says_that_it_is_weaker(clips: int) -> None:
    verdict = judge(series(1.0, 0.8, jitter=0.02, clips=CLIPS[:clips]))
    assert verdict.kind == "learning"
    assert f"over {3 * clips} levels); with so few clips, sure of these alone" in verdict.text


def test_a_single_number_has_no_interval() -> None:
    verdict = judge([measurement(0, [[1.0]]), measurement(5, [[0.5]])])
    assert verdict.kind == "no effect"
    assert "from 1.0000 to 0.5000 (-50.00 %, one number alone has no interval)" in verdict.text
    assert half_width([1.0], doubt=0.05) == np.inf


def test_the_order_of_clips_does_not_matter() -> None:
    before, after = series(1.0, 0.9, jitter=0.01)
    turned = Measurement(after.step, after.dataset, after.weights, after.clips[::-1])
    assert judge([before, turned]) == judge([before, after])


def test_measurements_of_other_clips_are_not_compared() -> None:
    other = measurement(0, [[9.0, 9.0, 9.0]] * 4, names="wxyz")
    assert judge([other, *series(1.0)]).kind == "first"
    fewer_levels = measurement(0, [[9.0, 9.0]] * 4)
    assert judge([fewer_levels, *series(1.0)]).kind == "first"


def test_a_loss_that_is_no_number_is_worse() -> None:
    assert judge([*series(1.0), measurement(10, [[np.nan] * 3] * 4)]).kind == "worse"
