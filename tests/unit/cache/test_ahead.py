"""Work ahead is in order, bounded, and honest about what goes wrong."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from reeltune.cache.ahead import ahead, behind


def test_results_come_in_order_and_no_more_is_held_than_there_is_room_for() -> None:
    made, most, lock = [0], [0], threading.Lock()

    def work(item: int) -> int:
        with lock:
            made[0] += 1
        return item * item

    with closing(ahead(range(40), work, size_of=lambda item: 10, room=35, workers=4)) as results:
        for taken, result in enumerate(results):
            assert result == taken * taken
            with lock:
                most[0] = max(most[0], made[0] - taken)
    # Three that fit into the room, and the one in hand.
    assert 1 < most[0] <= 4


def test_what_is_larger_than_the_room_is_made_alone() -> None:
    assert list(ahead([1, 2, 3], lambda item: item, size_of=lambda item: 100, room=10, workers=2)) == [1, 2, 3]


def test_an_error_of_a_thread_reaches_the_one_who_waits_and_leaves_no_thread() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        return item

    results, seen = ahead(range(9), work, size_of=lambda item: 1, room=5, workers=2), []
    with pytest.raises(ValueError, match="the third"):
        seen.extend(iter(results.__next__, None))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_everything_behind_is_done_in_order_before_the_block_ends() -> None:
    done: list[int] = []
    with behind() as writer:
        for number in range(20):
            writer.do(lambda number=number: done.append(number))
    assert done == list(range(20))


def test_an_error_behind_is_raised_at_the_latest_at_the_end() -> None:
    def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), behind() as writer:
        writer.do(fail)
