"""Measurements made up from a table of losses."""

from __future__ import annotations

from typing import Literal

import numpy as np

from reeltune.train.measurement import ClipLosses, Measurement, Point


def measurement(
    step: int,
    losses: np.ndarray | list[list[float]],
    *,
    dataset: str = "films",
    weights: Literal["raw", "ema"] = "raw",
    names: str = "abcdefgh",
) -> Measurement:
    """Return a measurement with a row of losses for each clip, a column for each level from 1 down."""
    table = np.asarray(losses, dtype=float)
    sigmas = [1 - level / table.shape[1] for level in range(table.shape[1])]
    clips = (
        ClipLosses(f"{name}.mp4", f"key {name}", tuple(map(Point, sigmas, row)))
        for name, row in zip(names, table.tolist(), strict=False)
    )
    return Measurement(step, dataset, weights, tuple(clips))
