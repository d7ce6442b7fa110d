"""The processes that share a piece of work. Alone, nothing of torch.distributed is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Part = TypeVar("Part")


@dataclass(frozen=True)
class Team:
    """This process is number `rank` of `size`. The first one leads: it alone writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, things: Sequence[Part]) -> list[Part]:
        """Return this process's own part of the work: every `size`-th thing from its rank on."""
        return list(things[self.rank :: self.size])

    def gathered(self, own: list[Part]) -> list[Part]:
        """Return what all processes give, in the order of their ranks. All must call it, equally often."""
        if self.size == 1:
            return own
        from torch import distributed

        parts: list[list[Part]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, own)
        return [thing for part in parts for thing in part]


ALONE = Team()
