"""How often rare work comes: against a loop that counts."""

from __future__ import annotations

import pytest

from reeltune.estimate.rare_work import times_due


@pytest.mark.parametrize("every", [0, 1, 3, 7, 10, 11])
@pytest.mark.parametrize("done", range(11))
def test_it_comes_at_each_interval_and_after_the_last_step(every: int, done: int) -> None:
    total = 10
    due = [step for step in range(done + 1, total + 1) if step == total or (every and step % every == 0)]
    assert times_due(every, total, done=done) == len(due)


def test_nothing_is_due_in_a_run_that_is_shorter_than_what_is_done() -> None:
    assert times_due(5, 10, done=12) == 0
