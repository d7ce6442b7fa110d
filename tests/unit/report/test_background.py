from __future__ import annotations

import threading
import time

from reeltune.report.background import Background, TryAgain


def test_jobs_are_done_in_order_and_a_failing_one_stops_none() -> None:
    done: list[int] = []
    background = Background("listener")
    for number in range(5):
        background.submit("number", lambda number=number: done.append(number if number != 2 else 1 // 0))
    background.close(5.0)
    assert done == [0, 1, 3, 4]


def test_submitting_never_waits_for_a_slow_job() -> None:
    release = threading.Event()
    background = Background("listener")
    started = time.monotonic()
    for _ in range(3):
        background.submit("slow", lambda: release.wait(10))
    assert time.monotonic() - started < 1.0
    release.set()
    background.close(5.0)


def test_failures_are_told_once_per_kind_without_secrets(said: list[str]) -> None:
    def fail() -> None:
        raise OSError("PUT https://me:pw@store/a?Signature=abc was refused for hf_abcdefghijklmnopqrstuvwxyz")

    background = Background("listener")
    for kind in ("upload", "upload", "card"):
        background.submit(kind, fail)
    background.close(5.0)
    assert [line.split(":")[0] for line in said] == ["listener failed (upload)", "listener failed (card)"]
    assert "https://store/a was refused for ***" in said[0]


def test_a_full_queue_drops_the_oldest_and_says_so_once(said: list[str]) -> None:
    release, begun, done = threading.Event(), threading.Event(), []
    background = Background("listener", room=2)
    background.submit("first", lambda: (begun.set(), release.wait(10)))
    assert begun.wait(5)
    for number in range(5):
        background.submit("number", lambda number=number: done.append(number))
    release.set()
    background.close(5.0)
    assert done == [3, 4]
    assert len(said) == 1
    assert "the oldest are dropped" in said[0]


def test_a_job_can_take_the_place_of_the_one_of_its_kind_that_waits() -> None:
    release, begun, done = threading.Event(), threading.Event(), []
    background = Background("listener")
    background.submit("first", lambda: (begun.set(), release.wait(10)))
    assert begun.wait(5)
    for kind, word in [("a", "old"), ("b", "other"), ("a", "new")]:
        background.submit(kind, lambda word=word: done.append(word), instead=True)
    release.set()
    background.close(5.0)
    assert done == ["other", "new"]


def test_a_job_is_tried_again_after_the_waits(said: list[str]) -> None:
    tries: list[float] = []

    def work_at_third_try() -> None:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise TryAgain("not yet", after_s=0.2 if len(tries) == 1 else None)

    background = Background("listener", waits=(0.01, 0.05))
    background.submit("job", work_at_third_try)
    # Not closed before it is done: what a closing worker cannot wait for, it gives up.
    while len(tries) < 3:
        time.sleep(0.01)
    background.close(5.0)
    assert tries[1] - tries[0] >= 0.2  # the job's own wish, not the 0.01 of the list
    assert tries[2] - tries[1] >= 0.05
    assert said == []


def test_tries_come_to_an_end(said: list[str]) -> None:
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        raise TryAgain("never")

    background = Background("listener", waits=(0.0, 0.0))
    background.submit("job", refuse)
    background.close(5.0)
    assert len(tries) == 3
    assert "never" in said[0]


def test_closing_waits_no_longer_than_it_may(said: list[str]) -> None:
    release = threading.Event()
    background = Background("listener")
    for _ in range(3):
        background.submit("stuck", lambda: release.wait(20))
    started = time.monotonic()
    background.close(0.2)
    assert 0.2 <= time.monotonic() - started < 2.0
    assert said == ["listener was not done after 0.2 s: 3 messages are given up"]
    release.set()
    background.close(5.0)


def test_a_wait_longer_than_the_end_grants_is_not_begun() -> None:
    def later() -> None:
        raise TryAgain("later", after_s=30.0)

    background = Background("listener")
    background.submit("job", later)
    started = time.monotonic()
    background.close(5.0)
    assert time.monotonic() - started < 2.0


def test_after_closing_nothing_is_taken() -> None:
    done: list[int] = []
    background = Background("listener")
    background.close(1.0)
    background.submit("late", lambda: done.append(1))
    time.sleep(0.05)
    assert done == []
