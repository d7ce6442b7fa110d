"""As many at once as memory allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from reeltune.errors import ShortageError

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_NO_MEMORY = ("not enough memory", "can't allocate memory")
"""What the allocators of the CPU say; they have no error of their own."""


class Halving(Generic[Item]):
    """Encodes batches, and halves them, for good, when memory runs out.

    encode: from some items to as many tensors. noun: what the items are, in the plural. advice: what helps when not
    even one fits.
    """

    def __init__(self, encode: Callable[[Sequence[Item]], Sequence[Tensor]], *, noun: str, advice: str) -> None:
        self._encode = encode
        self._noun, self._advice = noun, advice
        self._most: dict[Hashable, int] = {}

    def __call__(self, items: Sequence[Item], kind: Hashable = None) -> list[Tensor]:
        """Return one tensor per item. kind: items of one kind take the same memory. Raises ShortageError."""
        done: list[Tensor] = []
        while len(done) < len(items):
            part = items[len(done) : len(done) + self._most.get(kind, len(items))]
            reason = ""
            try:
                done += self._encode(part)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).split(". ")[0]
            # Outside of the handler: the error holds on to everything that was computed.
            if reason:
                self._halve(len(part), kind, reason)
        return done

    def _halve(self, count: int, kind: Hashable, reason: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if count == 1:
            raise ShortageError(f"memory is not enough to encode one of the {self._noun}: {reason}. {self._advice}")
        self._most[kind] = count // 2
        shape = f" of {kind}" if kind else ""
        log.warning(
            "memory is not enough for %d %s%s at once: %d from here on", count, self._noun, shape, self._most[kind]
        )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch found too little memory, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY)
