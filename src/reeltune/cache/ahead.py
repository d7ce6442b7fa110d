"""Work done ahead of the one who waits for it, by threads, within a bound on what is held."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

BEHIND = 4
"""Results that wait to be written at most."""


def ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    size_of: Callable[[Item], int],
    room: int,
    workers: int,
) -> Generator[Result, None, None]:
    """Yield the result of each item in order, while threads work on the next ones.

    size_of, room: what a result weighs, and what all that are made and not yet asked for may weigh; one is always
    made. What a thread raises is raised here.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="ahead") as pool:
        waiting: deque[tuple[int, Future[Result]]] = deque()
        held = 0
        try:
            for item in items:
                size = size_of(item)
                while waiting and held + size > room:
                    freed, future = waiting.popleft()
                    yield future.result()
                    held -= freed
                waiting.append((size, pool.submit(work, item)))
                held += size
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()


class Behind:
    """Does calls on a thread of its own, in order. What one raises is raised by a later call, or at the end."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Have something done, once there is room in the queue."""
        self._settle(BEHIND)
        self._waiting.append(self._pool.submit(work))

    def finish(self) -> None:
        """Wait until everything is done."""
        self._settle(0)

    def _settle(self, left: int) -> None:
        while len(self._waiting) > left or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()


@contextmanager
def behind() -> Generator[Behind, None, None]:
    """Open a thread for what need not be waited for; all of it is done when the block ends well."""
    with ThreadPoolExecutor(1, thread_name_prefix="behind") as pool:
        queue = Behind(pool)
        yield queue
        queue.finish()
