"""Noise as tensors, drawn from the streams of a run."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reeltune.randomness import Draws, Purpose


def draw_noise(draws: Draws, shape: tuple[int, ...], *, step: int, index: int) -> Tensor:
    """Return standard normal noise, float32, for one sample of a step. index: its place in the whole step."""
    return torch.from_numpy(draws.stream(Purpose.NOISE, step, index).standard_normal(shape, dtype=np.float32))
