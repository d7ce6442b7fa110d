"""What an optimizer keeps for each trained weight, by its name."""

from __future__ import annotations

import re

_STATES = {
    "torch-sgd": 0,
    "optimi-sgd": 0,
    "optimi-lion": 4,
    "bnb-lion": 4,
    "torch-adagrad": 4,
    "bnb-adagrad": 4,
    "torch-rmsprop": 4,
    "torch-asgd": 4,
    "torch-muon": 4,
    "torch-adafactor": 1,
    "optimi-ranger": 12,
    "bnb-ademamix": 12,
    "optimi-adan": 16,
    "prodigy": 5,
    "soap": 24,
}
"""Bytes in float32 where it is not the two moments of Adam, each library's defaults taken.

SGD is without momentum. Adafactor and Prodigy keep sums of rows and columns: at most this much from rank 4 on, and from
32 on. SOAP keeps bases beside the moments: this much for square matrices, about 8 for a LoRA's long ones. Muon keeps
one moment of matrices, and AdamW's two of the rest.
"""

_TWO_MOMENTS = 8

_SMALLER = {"8bit": 4, "fp8": 4, "4bit": 8}
"""By the end of a name, how much smaller its states are than in float32."""


def state_bytes(name: str) -> int:
    """Return the bytes of state for each trained weight, not counting the scales of blocks that small numbers need."""
    rule = name.removesuffix("-paged")
    small = re.search(r"(8bit|fp8|4bit)$", rule)
    if small is None:
        return _STATES.get(rule, _TWO_MOMENTS)
    return _STATES.get(rule.removesuffix(small[0]), _TWO_MOMENTS) // _SMALLER[small[0]]
