"""One thing that was looked at: how it stands, and what to type where it should stand better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "warn", "fail"]
"""absent: not here, and nothing that was asked for needs it. warn: a run can start. fail: it cannot."""


@dataclass(frozen=True)
class Check:
    """text: what was found. fix: what to type or do; empty when there is nothing to mend."""

    name: str
    state: State
    text: str
    fix: str = ""
