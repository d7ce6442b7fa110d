"""Parts of a model that are opened for a while, or opened once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from reeltune.families.loading import release_memory

Module = TypeVar("Module", bound=nn.Module)


class Shelf:
    """Lends parts by name. keep: a part that was made once stays on its device and is lent again.

    A part is lent to one at a time: while it is out, another borrower gets one of its own.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._kept: dict[str, Any] = {}

    @contextmanager
    def lend(self, name: str, make: Callable[[], Module], device: torch.device) -> Iterator[Module]:
        """Give a part for as long as the block lasts; the borrower lets go of it before the block ends."""
        kept = self._kept.pop(name, None)
        part = make() if kept is None else kept
        del kept
        try:
            yield part
        finally:
            if self._keep:
                self._kept.setdefault(name, part)
            del part
            if not self._keep:
                release_memory(device)
