"""Where random numbers come from: a function of the position in the run, never of what happened before.

Philox is a counter-based generator: a key and a counter name a stream, and any stream can be opened at once. So a
resumed run, a run with another batch layout over processes, and a run with rendering in between all draw the same
numbers, on every device, and nothing of this has to be saved.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. The values are part of every saved run: never reuse or renumber one."""

    ORDER = 1
    NOISE = 2
    SIGMA = 3
    CAPTION = 4
    MODULES = 5
    ADAPTER = 6
    ROUTING = 7
    EVALUATION = 8
    PLACEMENT = 9
    STRATA = 10
    MASKING = 11


@dataclass(frozen=True)
class Draws:
    """All random streams of a run.

    seed: the run's one seed.
    """

    seed: int

    def stream(self, purpose: Purpose, major: int = 0, minor: int = 0) -> np.random.Generator:
        """Open the stream at a position, for example (step, index of the sample in the whole step)."""
        # The lowest counter word is left for the numbers of the stream itself: 2**64 blocks before two could meet.
        return np.random.Generator(np.random.Philox(counter=[0, minor, major, 0], key=[self.seed, int(purpose)]))

    def named(self, purpose: Purpose, name: str, major: int = 0) -> np.random.Generator:
        """Open the stream of something that has a name rather than a number, such as a file of a dataset."""
        number = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest())
        return self.stream(purpose, major, number)
