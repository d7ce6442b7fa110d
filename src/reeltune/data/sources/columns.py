"""Which column of a table says what: found by name where none is set, and what its cells say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reeltune.data.tables import cell_texts
from reeltune.errors import DataError

CAPTIONS = ("caption", "captions", "text", "prompt", "description")
"""Names of the caption's column, in the order in which they are looked for."""


def choose_column(there: Sequence[str], wanted: str | None, usual: Sequence[str], *, option: str, place: str) -> str:
    """Return the column that is set, else the first of the usual names. Raises DataError where there is none."""
    if wanted is not None and wanted in there:
        return wanted
    known = {name.lower(): name for name in reversed(there)}
    found = [known[name] for name in usual if name in known] if wanted is None else []
    if found:
        return found[0]
    missing = f"no column {wanted}" if wanted is not None else f"none of the columns {', '.join(usual)}"
    raise DataError(f"{place} has {missing}; set {option} to one of: {', '.join(there) or 'it has no columns'}")


def captions_in(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the captions of a row, one for each column and each part of a list; empty cells say nothing."""
    return tuple(text for column in columns for text in cell_texts(row[column]))
