"""How long work shows itself: a wrapper around the items of a loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")


@runtime_checkable
class Track(Protocol):
    """Show a loop's progress, rate and remaining time while its items are handed through unchanged."""

    def __call__(self, items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]: ...
