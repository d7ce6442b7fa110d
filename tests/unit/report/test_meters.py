from __future__ import annotations

import os
import subprocess
import sys

import pytest

from reeltune.report.clock import Clock
from reeltune.report.console import track
from reeltune.report.meters import LineMeter, fullest_wording, open_meter

DETAIL = ("loss 0.1234", "lr 1.0e-04", "step 1.2 s")


def test_long_work_speaks_every_five_seconds_and_at_the_end(said: list[str], now) -> None:
    meter = LineMeter("training", Clock("steps", total=12, now=now))
    for _ in range(12):
        now.seconds += 1.25
        meter.advance("loss 0.1")
    meter.close()
    assert said == [
        "training 4/12, 1.2 s/step, 0:10 left, loss 0.1",
        "training 8/12, 1.2 s/step, 0:05 left, loss 0.1",
        "training 12/12, 1.2 s/step, took 15.0 s, loss 0.1",
    ]


def test_work_of_less_than_a_second_is_not_spoken_of(said: list[str]) -> None:
    assert list(track(iter("abc"), "encoding clips", 3, "clips")) == ["a", "b", "c"]
    assert said == []


def test_work_of_a_second_says_only_its_end(said: list[str], now) -> None:
    meter = LineMeter("encoding clips", Clock("clips", total=1, now=now), silent_s=1.0)
    now.seconds = 1.0
    meter.advance()
    assert said == ["encoding clips 1/1, 1.0 clips/s, took 1.0 s"]


def test_work_cut_short_says_where(said: list[str], now) -> None:
    meter = LineMeter("encoding clips", Clock("clips", total=3, now=now))
    now.seconds = 2.0
    meter.advance()
    meter.close()
    meter.close()
    assert said == ["encoding clips 1/3, 2.0 s/clip, took 2.0 s"]


def test_a_loop_that_fails_closes_its_meter(said: list[str]) -> None:
    def fail() -> None:
        for _ in track(range(3), "encoding clips", 3, "clips"):
            raise ValueError

    with pytest.raises(ValueError, match="^$"):
        fail()
    assert [line.split(",")[0] for line in said] == ["encoding clips 0/3"]


def test_work_that_is_done_already_says_nothing(said: list[str]) -> None:
    assert list(track([], "encoding clips", 0, "clips")) == []
    open_meter("training", Clock("steps", total=3, done=3)).close()
    assert said == []


def test_a_plain_log_has_no_escape_codes_whatever_the_environment_asks() -> None:
    code = (
        "from reeltune.log import set_up_logging; from reeltune.report.console import track; set_up_logging()\n"
        "import time\nfor _ in track(range(2), 'encoding clips', 2, 'clips'): time.sleep(0.6)"
    )
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert b"\x1b" not in outcome.stderr
    assert b"\r" not in outcome.stderr.replace(os.linesep.encode(), b"\n")
    assert outcome.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("room", "wording"),
    [
        (90, "1/3000 1.2 s/step 59:59 left loss 0.1234 lr 1.0e-04 step 1.2 s"),
        (66, "1/3000 1.2 s/step 59:59 loss 0.1234 lr 1.0e-04 step 1.2 s"),
        (60, "1/3000 1.2 s/step 59:59 left loss 0.1234 lr 1.0e-04"),
        (30, "1/3000 1.2 s/step 59:59"),
        (15, "1/3000"),
        (1, "1/3000"),
    ],
)
def test_a_narrow_bar_says_less(now, room: int, wording: str) -> None:
    clock = Clock("steps", total=3000, now=now)
    now.seconds = 1.2
    clock.advance()
    assert fullest_wording(clock, DETAIL, room=room) == wording


def test_in_80_columns_all_is_said_of_a_long_and_slow_run(now) -> None:
    clock = Clock("steps", total=9999, now=now)
    for _ in range(1000):
        now.seconds += 12.34
        clock.advance()
    words = fullest_wording(clock, DETAIL, room=80 - len("training "))
    assert words == "1000/9999 12.3 s/step 30:50:48 loss 0.1234 lr 1.0e-04 step 1.2 s"
