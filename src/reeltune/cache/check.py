"""What of a cache can be used again: each entry is read whole once, and a damaged one makes room for a new one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reeltune.cache.entries import EntryFile
from reeltune.cache.store import TensorStore, is_whole
from reeltune.contracts.progress import Track

log = logging.getLogger(__name__)

_READERS = 4


@dataclass(frozen=True)
class Usable:
    """How many entries are used again, and how many are to be encoded, of which some were there but damaged."""

    reused: int = 0
    encoded: int = 0
    damaged: int = 0

    def __add__(self, other: Usable) -> Usable:
        return Usable(self.reused + other.reused, self.encoded + other.encoded, self.damaged + other.damaged)

    def __str__(self) -> str:
        damaged = f" ({self.damaged} damaged)" if self.damaged else ""
        return f"reuse {self.reused}, encode {self.encoded}{damaged}"


def check_entries(wanted: Iterable[tuple[TensorStore, str]], *, track: Track, title: str, unit: str) -> Usable:
    """Read every entry that is wanted; remove those that are damaged, so that they are encoded again."""
    places = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(_READERS, thread_name_prefix="check") as pool:
        found = track(pool.map(_state, places), title, len(places), unit)
        return sum(found, start=Usable())


def look_for_entries(wanted: Iterable[tuple[TensorStore, str]]) -> Usable:
    """Count the entries that are there, without reading them."""
    places = list(dict.fromkeys(wanted))
    there = sum(store.has_file(key) for store, key in places)
    return Usable(reused=there, encoded=len(places) - there)


def damaged_entries(entries: Iterable[EntryFile]) -> list[EntryFile]:
    """Read entries, and return those that are damaged."""
    return [entry for entry in entries if entry.path.exists() and not is_whole(entry.path)]


def _state(place: tuple[TensorStore, str]) -> Usable:
    store, key = place
    if store.holds(key):
        return Usable(reused=1)
    if not store.has_file(key):
        return Usable(encoded=1)
    log.warning("%s is damaged and will be encoded again", store.path(key))
    store.remove(key)
    return Usable(encoded=1, damaged=1)
