"""The random numbers that modules draw themselves, as dropout does."""

from __future__ import annotations

import torch

from reeltune.randomness import Draws, Purpose


def reseed_modules(draws: Draws, *, step: int, micro_batch: int) -> None:
    """Reseed torch's own generators, which dropout inside modules uses, for one micro-batch."""
    torch.manual_seed(int(draws.stream(Purpose.MODULES, step, micro_batch).integers(2**63)))
