"""How often rare work is done in a run: checkpoints, videos, measurements."""

from __future__ import annotations


def times_due(every: int, total: int, *, done: int = 0) -> int:
    """Return how often it is due after `done` steps: every so many, and after the last; 0 is after the last alone."""
    if done >= total:
        return 0
    return -(-total // every) - done // every if every else 1
