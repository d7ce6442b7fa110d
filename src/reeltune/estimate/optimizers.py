"""What an optimizer keeps for each trained weight, by its name."""

from __future__ import annotations

import re

_STATES = {
    "sgd": 0,
    "lion": 4,
    "adagrad": 4,
    "rmsprop": 4,
    "asgd": 4,
    "adafactor": 1,
    "ranger": 12,
    "adan": 16,
}
"""Bytes in float32 where it is not the two moments of Adam, each library's defaults taken.

SGD is without momentum. Adafactor keeps sums of rows and columns: at most this much from rank 4 on.
"""

_TWO_MOMENTS = 8


def state_bytes(name: str) -> int:
    """Return the bytes of state for each trained weight; 8-bit optimizers keep a quarter."""
    rule = re.sub(r"^(torch|optimi|bnb)-|8bit|-paged", "", name)
    size = _STATES.get(rule, _TWO_MOMENTS)
    return size // 4 if "8bit" in name else size
