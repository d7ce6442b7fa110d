"""What an optimizer keeps for each trained weight, by its name."""

from __future__ import annotations

import re

_STATES = {
    "sgd": 4,
    "lion": 4,
    "adagrad": 4,
    "rmsprop": 4,
    "adafactor": 1,
    "adan": 16,
}
"""Bytes in float32 where it is not the two moments of Adam. Adafactor keeps rows and columns: next to nothing."""

_TWO_MOMENTS = 8


def state_bytes(name: str) -> int:
    """Return the bytes of state for each trained weight; 8-bit optimizers keep a quarter."""
    rule = re.sub(r"^(torch|optimi|bnb)-|8bit|-paged", "", name).strip("-")
    size = _STATES.get(rule, _TWO_MOMENTS)
    return size // 4 if "8bit" in name else size
