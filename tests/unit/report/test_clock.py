from __future__ import annotations

import pytest

from reeltune.report.clock import Clock, clock_face, duration


def test_rate_and_remaining_time_count_wall_time(now) -> None:
    clock = Clock("steps", total=10, now=now)
    for _ in range(2):
        now.seconds += 1.0  # the step
        clock.advance()
        now.seconds += 2.0  # a render, a checkpoint
    clock.advance()
    assert clock.rate == "2.0 s/step"
    assert clock.time == "0:14 left"


def test_the_remaining_time_runs_down_while_a_unit_is_worked_on(now) -> None:
    clock = Clock("clips", total=4, now=now)
    now.seconds = 60.0
    clock.advance()
    assert clock.time == "3:00 left"
    now.seconds = 90.0
    assert clock.time == "2:30 left"
    now.seconds = 1000.0
    assert clock.time == "0:00 left"


def test_before_the_first_unit_there_is_time_but_no_rate(now) -> None:
    clock = Clock("steps", total=10, done=3, now=now)
    now.seconds = 12.0
    assert (clock.count, clock.rate, clock.time) == ("3/10", "", "0:12 so far")


def test_what_was_done_before_says_nothing_about_the_rate(now) -> None:
    clock = Clock("steps", total=110, done=100, now=now)
    now.seconds = 4.0
    clock.advance()
    assert (clock.rate, clock.time) == ("4.0 s/step", "0:36 left")


@pytest.mark.parametrize(
    ("units", "rate"), [(62, "3.1 clips/s"), (1, "20.0 s/clip"), (20, "1.0 clips/s"), (9000, "450 clips/s")]
)
def test_a_rate_is_what_a_person_would_say(now, units: int, rate: str) -> None:
    clock = Clock("clips", total=10_000, now=now)
    now.seconds = 20.0
    for _ in range(units):
        clock.advance()
    assert clock.rate == rate


def test_a_finished_clock_stands_still(now) -> None:
    clock = Clock("clips", total=1, now=now)
    now.seconds = 2.5
    clock.advance()
    now.seconds = 100.0
    clock.stop()
    assert (clock.rate, clock.time) == ("2.5 s/clip", "took 2.5 s")


def test_work_cut_short_says_how_long_it_took(now) -> None:
    clock = Clock("clips", total=3, now=now)
    now.seconds = 75.0
    clock.stop()
    assert clock.time == "took 1:15"


@pytest.mark.parametrize(
    ("seconds", "face", "words"),
    [
        (0.04, "0:00", "0.0 s"),
        (59.9, "1:00", "59.9 s"),
        (59.97, "1:00", "1:00"),
        (3599.6, "1:00:00", "1:00:00"),
        (3725.0, "1:02:05", "1:02:05"),
    ],
)
def test_times_carry_over(seconds: float, face: str, words: str) -> None:
    assert (clock_face(seconds), duration(seconds)) == (face, words)
