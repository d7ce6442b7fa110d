"""Sentences for people about how options were understood. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["trap", "fallback", "inert", "fact"]
"""trap: works, but not as its words suggest. fallback: something is missing on this machine, and what is used instead.
inert: accepted, and changes nothing in this run. fact: worth knowing."""


@dataclass(frozen=True)
class Note:
    """One sentence about one option (or `dataset-id.key`), without the option's name and without a full stop."""

    kind: Kind
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def by_kind(notes: Iterable[Note]) -> list[Note]:
    """Return the notes in the order of their kinds: what costs most when it is missed comes first."""
    return sorted(notes, key=lambda note: get_args(Kind).index(note.kind))
