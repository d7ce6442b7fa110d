"""The curves of a run: what is drawn from which events, and that pictures appear when they should."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reeltune.contracts.events import Evaluated, Event, RunFinished, RunStarted, StepDone
from reeltune.report.course import Course
from reeltune.report.curves import FEWEST_STEPS, Curves
from reeltune.report.curves_picture import running_mean
from reeltune.report.journal import Journal, events_in


def step(number: int, loss: float = 0.5) -> StepDone:
    return StepDone(number, 40, loss, 1.0, 1e-4 * number, tokens=100, seconds=0.1, data_seconds=0.0)


def measured(number: int, loss: float, *, dataset: str = "films", weights: str = "raw", clips: int = 2) -> Evaluated:
    return Evaluated(
        number,
        dataset,
        weights,  # pyright: ignore[reportArgumentType]
        loss,
        ((1.0, loss + 0.1, None), (0.5, loss - 0.1, None)),
        standard_error=0.01,
        error_over="clips",
        clips=clips,
        verdict_kind="learning",
        verdict=f"learning: at step {number}",
    )


def follow(folder: Path, *events: Event, weights: str = "raw") -> None:
    """Let a journal and the curves hear of a run, in the order of a real one."""
    sinks = (Journal(folder / "events.jsonl"), Curves(folder, weights=weights))
    for event in events:
        for sink in sinks:
            sink.receive(event)
    for sink in sinks:
        sink.close()


def course_of(folder: Path) -> Course:
    course = Course()
    course.read(events_in(folder / "events.jsonl"))
    return course


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        assert np.ptp(np.asarray(picture.convert("L"))) > 100, "something is drawn on it"
        return picture.size


def test_a_run_that_measures_has_its_picture(tmp_path: Path, said: list[str]) -> None:
    steps = [step(number) for number in range(1, 5)]
    follow(tmp_path, RunStarted(0, 4), measured(0, 0.5), *steps, measured(4, 0.4), RunFinished(4, False))
    assert size(tmp_path / "evaluation.png") == (1560, 832)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".png"] == ["evaluation.png"]
    assert not [line for line in said if "failed" in line]


def test_a_run_that_measures_nothing_has_the_training_loss_at_its_end(tmp_path: Path) -> None:
    steps = [step(number) for number in range(1, FEWEST_STEPS + 1)]
    follow(tmp_path, RunStarted(0, FEWEST_STEPS), *steps[:-1], RunFinished(FEWEST_STEPS - 1, True))
    assert not (tmp_path / "loss.png").exists(), "a curve of so few steps tells nothing"
    follow(tmp_path, RunStarted(FEWEST_STEPS - 1, FEWEST_STEPS), steps[-1], RunFinished(FEWEST_STEPS, False))
    assert size(tmp_path / "loss.png")[0] == 1170


def test_numbers_that_are_not_finite_are_drawn_around(tmp_path: Path, said: list[str]) -> None:
    steps = [step(number, math.nan if number % 2 else 0.5) for number in range(1, 5)]
    follow(tmp_path, RunStarted(0, 4), *steps, measured(4, math.inf), RunFinished(4, False))
    assert not [line for line in said if "failed" in line]
    assert (tmp_path / "evaluation.png").exists()


def test_a_run_that_breaks_off_has_what_was_measured_drawn(tmp_path: Path) -> None:
    follow(tmp_path, RunStarted(0, 4), measured(0, 0.5))
    assert (tmp_path / "evaluation.png").exists()


def test_a_run_that_goes_on_forgets_what_came_after_its_start(tmp_path: Path) -> None:
    first = [RunStarted(0, 9), measured(0, 0.5), *(step(number, 1.0) for number in range(1, 7)), measured(6, 0.4)]
    again = [RunStarted(4, 9), step(5, 2.0), measured(5, 0.3)]
    follow(tmp_path, *first)
    follow(tmp_path, *again)
    course = course_of(tmp_path)
    assert list(course.steps) == [1, 2, 3, 4, 5]
    assert list(course.losses) == [1.0, 1.0, 1.0, 1.0, 2.0]
    assert course.means("raw") == {0: 0.5, 5: 0.3}
    assert course.verdict("raw") == "learning: at step 5"


def test_what_is_in_the_journal_and_was_heard_counts_once(tmp_path: Path) -> None:
    follow(tmp_path, RunStarted(0, 9), step(1), step(2), measured(2, 0.4))
    course = course_of(tmp_path)
    course.read(events_in(tmp_path / "events.jsonl"))
    course.add_step(2, 9.0, 9.0)
    assert list(course.losses) == [0.5, 0.5]
    assert len(course.series["films", "raw"]) == 1


def test_the_mean_over_datasets_counts_clips() -> None:
    course = Course()
    course.read(_record(one) for one in (measured(3, 0.2, clips=1), measured(3, 0.5, dataset="more", clips=2)))
    assert course.means("raw") == {3: pytest.approx((0.2 + 2 * 0.5) / 3)}
    assert course.curve(3, "raw") == ((0.5, pytest.approx(0.3)), (1.0, pytest.approx(0.5)))


def test_the_best_step_is_chosen_as_the_best_checkpoint_is() -> None:
    course = Course()
    assert course.best("raw") is None
    # The start has learned nothing.
    course.read([_record(measured(0, 0.1))])
    assert course.best("raw") is None
    # Other clips, another dataset, other levels, other weights: what is lower there cannot be compared.
    other_levels = replace(measured(3, 0.1), curve=((0.9, 0.2, None), (0.5, 0.0, None)))
    lower = (measured(1, 0.1, clips=3), measured(2, 0.1), measured(2, 0.1, dataset="more"), other_levels)
    later = (measured(4, 0.4), measured(5, 0.3), measured(6, 0.3), measured(6, 0.1, weights="ema"), measured(7, 0.5))
    course.read(_record(one) for one in (*lower, *later, measured(8, math.nan)))
    assert course.best("raw") == 5
    assert course.best("ema") == 6


def test_weights_that_were_not_measured_are_replaced_by_those_that_were() -> None:
    course = Course()
    assert course.kind("ema") == "ema"
    course.read([_record(measured(3, 0.2))])
    assert course.kind("ema") == "raw"


def test_the_running_mean_is_that_of_the_last_steps() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0])
    reference = [np.nanmean(values[max(0, end - 3) : end]) for end in range(1, 6)]
    np.testing.assert_allclose(running_mean(values, 3), reference, rtol=1e-12)
    assert np.isnan(running_mean(np.array([np.nan, np.nan]), 3)).all()


def _record(event: Evaluated) -> dict[str, object]:
    return {"event": "Evaluated", **vars(event)}
