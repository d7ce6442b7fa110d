"""What an optimizer keeps for each trained weight, by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

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

SGD and RMSprop are without momentum here. Adafactor and Prodigy keep sums of rows and columns: at most this much from
rank 4 on, and from 32 on. SOAP keeps bases beside the moments: this much for square matrices, about 8 for a LoRA's long
ones. Muon keeps one moment of matrices, and AdamW's two of the rest.
"""

_TWO_MOMENTS = 8

_AMSGRAD = ("amsgrad",)

_MORE: Mapping[str, tuple[str, ...]] = {
    "torch-sgd": ("momentum",),
    "optimi-sgd": ("momentum",),
    "torch-rmsprop": ("momentum", "centered"),
    "torch-muon": (),
}
"""Settings that each ask for one more tensor; of optimizers that are not here, _AMSGRAD is. Muon has its momentum."""

_SMALLER = {"8bit": 4, "fp8": 4, "4bit": 8}
"""By the end of a name, how much smaller its states are than in float32."""


def state_bytes(name: str, settings: Mapping[str, object]) -> int:
    """Return the bytes of state for each trained weight, not counting the scales of blocks that small numbers need.

    settings: by the library's own names, as `config.optimizer_checks.settings_of` has them.
    """
    rule = name.removesuffix("-paged")
    small = re.search(r"(8bit|fp8|4bit)$", rule)
    full = rule.removesuffix(small[0]) if small else rule
    more = 4 * sum(bool(settings.get(key)) for key in _MORE.get(full, _AMSGRAD))
    return (_STATES.get(full, _TWO_MOMENTS) + more) // (_SMALLER[small[0]] if small else 1)
