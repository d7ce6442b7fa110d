"""Which tokens a step keeps: drawn uniformly for each sample and route, as a function of the place in the run."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from reeltune.contracts.batch import KeptTokens
from reeltune.randomness import Draws, Purpose
from reeltune.routing.plan import Segment, kept_tokens

FIRST = -1.0
"""The score of a token that is kept whatever is drawn: below all scores, which are 0 or more."""


def choose_tokens(
    draws: Draws,
    *,
    step: int,
    first_index: int,
    batch_size: int,
    tokens: int,
    segments: tuple[Segment, ...],
    forced: Bool[Tensor, "B N"] | None = None,
) -> tuple[KeptTokens, ...]:
    """Return, for each route, the tokens that each sample keeps, on the host.

    first_index: the place of the batch's first sample in the whole step. tokens: video tokens of one sample.
    forced: tokens that every route keeps, on the host. All samples keep as many as the one with the most of them needs,
    if that is more than the route says; what is left is drawn uniformly from the others.
    """
    places = range(first_index, first_index + batch_size)
    # A score for each token of each route: as many numbers whatever the shares are, so a route's choice depends on no
    # other route's share.
    scores = [draws.stream(Purpose.ROUTING, step, place).random((len(segments), tokens)) for place in places]
    least = 0
    if forced is not None:
        least = int(forced.sum(1).max())
        for of_sample, first in zip(scores, forced.numpy(), strict=True):
            of_sample[:, first] = FIRST
    return tuple(
        KeptTokens(
            first=segment.first,
            last=segment.last,
            ids=torch.from_numpy(np.stack([_lowest(of_sample[route], segment, least) for of_sample in scores])),
        )
        for route, segment in enumerate(segments)
    )


def _lowest(scores: np.ndarray, segment: Segment, least: int) -> np.ndarray:
    """Return the positions of the lowest scores, ascending, as many as the route keeps, and at least so many."""
    count = max(least, kept_tokens(len(scores), segment.dropped))
    # Ascending: attention over tokens in another order rounds differently, and keeping all must equal the plain model.
    return np.sort(np.argpartition(scores, count - 1)[:count])
