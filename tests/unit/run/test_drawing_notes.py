"""Plan and outlook of datasets that are not all drawn alike, on made-up runs that were worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.datasets import Datasets
from reeltune.contracts.clip import Manifest
from reeltune.contracts.outlook import BucketOutlook, DatasetShare
from reeltune.estimate.sizes import SIZES
from reeltune.families.wan.variants import WAN_21
from reeltune.report.outlook import outlook_page
from reeltune.report.outlook_words import amount
from reeltune.run.outlook.basis import Basis
from reeltune.run.outlook.cost import cost_outlook
from reeltune.run.outlook.course import length_outlook
from reeltune.run.outlook.data import bucket_outlooks
from reeltune.run.plan import Plan, make_plan
from reeltune.run.rendering_plan import plan_rendering
from unit.report.samples import quickstart
from unit.run.made_up import LARGE, SQUARE, config_of, datasets_in, row

LARGE_TFLOP, SQUARE_TFLOP = 1150.30, 378.53
"""One sample of the 1.3B model, as in test_outlook_cost.py."""

LARGE_FORWARD_TFLOP = 82.073 + 200.907


def datasets_with(changes: dict[str, dict[str, Any]]) -> Datasets:
    """Return the datasets `a` and `b` with some of their keys changed."""
    both = datasets_in(Path("nowhere"))
    return both.model_copy(
        update={"trained": tuple(one.model_copy(update=changes.get(one.id, {})) for one in both.trained)}
    )


def manifest(a: int, b: int) -> Manifest:
    """Return large clips of `a` and square ones of `b`."""
    rows = [row(f"{index}", "a", LARGE) for index in range(a)] + [row(f"{index}", "b", SQUARE) for index in range(b)]
    return Manifest(tuple(rows))


def basis_of(a: int, b: int, changes: dict[str, dict[str, Any]], **options: Any) -> Basis:
    config, datasets, files = config_of(**options), datasets_with(changes), manifest(a, b)
    plan = make_plan(config, datasets, files.trained, WAN_21)
    return Basis(config, datasets, files, plan, plan_rendering(config, WAN_21), WAN_21, SIZES["1.3B"])


def planned(a: int, b: int, changes: dict[str, dict[str, Any]], **options: Any) -> Plan:
    return basis_of(a, b, changes, **options).plan


def said(plan: Plan) -> dict[tuple[str, str], str]:
    return {(note.kind, note.about): note.text for note in plan.notes}


def test_nothing_is_said_of_datasets_that_are_drawn_alike() -> None:
    plan = planned(4, 6, {"a": {"probability": 0.5}, "b": {"probability": 0.5}})
    assert not {"probability", "data_backend_sampling", "a.probability", "b.probability"} & {
        about for _, about in said(plan)
    }
    assert plan.shares == (DatasetShare("a", 0.4), DatasetShare("b", 0.6))
    assert plan.length_in_words() == "100 steps = 10.0 passes over 10 clips (10 batches a pass)"
    assert planned(4, 0, {"a": {"probability": 0.5}}).shares == ()


def test_weights_that_change_shares_are_told_with_what_an_epoch_shows() -> None:
    # Ten of `a`, and a quarter of six.
    plan = planned(10, 6, {"b": {"probability": 0.25}})
    assert said(plan)["fact", "probability"] == (
        "an epoch shows 100% of a, 25% of b, and goes on in the next where it stopped; of the steps a 87%, b 13%"
    )
    assert (plan.batches_per_epoch, plan.epochs) == (11.5, pytest.approx(100 / 11.5))
    assert plan.length_in_words() == "100 steps = 8.7 epochs of 11.5 batches, from 16 clips"
    uniform = planned(10, 2, {}, data_backend_sampling="uniform")
    assert "20% of a, 100% of b" in said(uniform)["fact", "data_backend_sampling"]
    assert "of the steps a 50%, b 50%" in said(uniform)["fact", "data_backend_sampling"]


def test_clips_that_the_run_never_shows_are_told() -> None:
    # A hundred steps are nine whole epochs of 10 + 0.4 batches and most of a tenth.
    plan = planned(10, 40, {"b": {"probability": 0.01}})
    text = said(plan)["trap", "b.probability"]
    assert text in {f"{seen} of 40 samples are seen in the whole run, so rarely is b drawn" for seen in (3, 4)}
    assert ("trap", "a.probability") not in said(plan)
    longer = planned(10, 40, {"b": {"probability": 0.01}}, max_train_steps=1041)
    assert ("trap", "b.probability") not in said(longer)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 11), (2, 23), (3, 34), (4, 46)])
def test_epochs_that_are_not_whole_end_the_run_where_they_end(epochs: int, steps: int) -> None:
    plan = planned(10, 6, {"b": {"probability": 0.25}}, num_train_epochs=epochs)
    assert (plan.total_steps, plan.length_option) == (steps, "num_train_epochs")


def test_an_epochs_shapes_are_a_mean_and_whole_numbers_stay_whole() -> None:
    basis = basis_of(10, 6, {"b": {"probability": 0.25}}, train_batch_size=3)
    # Four batches of three and one, and a quarter of two.
    assert bucket_outlooks(basis) == (
        BucketOutlook(832, 480, 81, samples=10, batches=4, tokens=32_760),
        BucketOutlook(480, 480, 73, samples=1.5, batches=0.5, tokens=17_100),
    )
    length = length_outlook(basis)
    assert (length.samples, length.batches_per_epoch, length.is_even) == (11.5, 4.5, False)
    assert type(bucket_outlooks(basis)[0].samples) is int


def test_a_step_costs_the_mean_of_what_is_drawn() -> None:
    cost = cost_outlook(basis_of(10, 6, {"b": {"probability": 0.25}}), None)
    assert cost is not None
    assert cost.step_tflop == pytest.approx((10 * LARGE_TFLOP + 1.5 * SQUARE_TFLOP) / 11.5, rel=1e-4)


def test_regularisation_data_costs_a_forward_pass_more_and_is_told() -> None:
    basis = basis_of(6, 4, {"a": {"is_regularisation_data": True}})
    cost = cost_outlook(basis, None)
    assert cost is not None
    expected = (6 * (LARGE_TFLOP + LARGE_FORWARD_TFLOP) + 4 * SQUARE_TFLOP) / 10
    assert cost.step_tflop == pytest.approx(expected, rel=1e-4)
    assert said(basis.plan)["fact", "a.is_regularisation_data"] == (
        "the base model's own answers are trained on these clips, 60% of the steps; each of their batches takes one "
        "forward pass more"
    )
    assert ("trap", "is_regularisation_data") not in said(basis.plan)


def test_a_run_that_is_left_with_regularisation_data_alone_learns_nothing_and_is_told_so() -> None:
    prior = {"a": {"is_regularisation_data": True}}
    assert "and learns nothing" in said(planned(6, 0, prior))["trap", "is_regularisation_data"]
    assert ("trap", "is_regularisation_data") not in said(planned(6, 1, prior))


def test_the_record_of_a_plan_holds_its_shares() -> None:
    plan = planned(4, 6, {})
    assert plan.record()["shares"] == ({"id": "a", "share": 0.4}, {"id": "b", "share": 0.6})
    assert replace(plan, shares=()).record()["shares"] == ()


@pytest.mark.parametrize(
    ("number", "words"),
    [(29, "29"), (29.0, "29"), (1234567, "1,234,567"), (12.34, "12.3"), (0.01, "under 0.1"), (0, "0")],
)
def test_means_are_said_shortly(number: float, words: str) -> None:
    assert amount(number) == words


@pytest.mark.parametrize(
    ("is_even", "epochs"), [(True, "2.0 passes over 11.5 samples"), (False, "2.0 of 11.5 samples")]
)
def test_the_page_says_what_the_steps_are_made_of(is_even: bool, epochs: str) -> None:
    shares = (DatasetShare("cats", 0.875), DatasetShare("dogs", 0.125))
    length = replace(
        quickstart().length, samples=11.5, batches_per_epoch=4.5, epochs=2.0, shares=shares, is_even=is_even
    )
    page = outlook_page(replace(quickstart(), length=length), width=80, command=None, encoding="utf-8")
    assert f"{epochs} (4.5 batches)" in page
    assert "cats 88 %, dogs 12 % of the steps" in page
