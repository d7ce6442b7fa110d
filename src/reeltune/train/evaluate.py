"""The loss on held-out clips, measured so that two numbers differ by the weights alone.

Each clip has one noise of its own and is measured at the levels that a sampler visits, with its first caption, without
dropout and with every token in every block. The loss of training draws all of these anew at each step, so it is too
restless to compare checkpoints or runs by.

A measurement that fails never stops training: it is reported, and the next one is made.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.contracts.batch import Batch
from reeltune.contracts.events import Evaluated
from reeltune.contracts.family import Family
from reeltune.data.batches import Item, TensorReader
from reeltune.modes import in_evaluation
from reeltune.objective.loss import mean_squared_error
from reeltune.objective.path import mix
from reeltune.objective.shift import Shift
from reeltune.objective.timesteps import shift_sigma
from reeltune.randomness import Draws, Purpose
from reeltune.train.schedule import Every
from reeltune.train.state import TrainState

log = logging.getLogger(__name__)

LOWEST = 1 / 1000
"""Where a sampler's grid ends, before the shift; the end itself is not visited."""

DRAWS = Draws(seed=0)
"""Not the run's own: runs with other seeds are measured with the same noise, and can be compared."""


@dataclass(frozen=True)
class Point:
    """The loss of one clip at one noise level."""

    sigma: float
    loss: float


@dataclass(frozen=True)
class Evaluation:
    """Measures the loss on held-out clips.

    clips: by dataset. text: where their encoded captions lie. levels: how many noise levels each clip is measured at.
    shift: of training.
    """

    every: Every
    family: Family
    transformer: nn.Module
    clips: Mapping[str, Sequence[Item]]
    text: TensorReader
    shift: Shift
    levels: int
    device: torch.device

    def measure(self, state: TrainState, stop_requested: Callable[[], bool]) -> Iterator[Evaluated]:
        """Yield the loss on each dataset with the raw weights, then with their average; leave all as it was.

        What is not measured when a stop is requested is left out.
        """
        try:
            yield from self._measured(state, stop_requested)
        except Exception as error:  # whatever goes wrong in a measurement, the run is worth more
            reason = f"{type(error).__name__}: {error}"
            log.warning("no loss on held-out clips at step %d: %s. Training goes on.", state.step, reason)
            log.debug("where it failed", exc_info=error)

    def _measured(self, state: TrainState, stop_requested: Callable[[], bool]) -> Iterator[Evaluated]:
        for kind in state.kinds():
            for dataset, clips in self.clips.items():
                points: list[Point] = []
                for clip in clips:
                    if stop_requested():
                        return
                    with state.acting_as(kind), in_evaluation(self.transformer):
                        points += self._points(clip)
                loss = fmean(point.loss for point in points)
                yield Evaluated(state.step, dataset, kind, loss, curve_of(points))

    @torch.no_grad()
    def _points(self, clip: Item) -> list[Point]:
        """Measure one clip at all levels, one forward each: a batch of levels would give other last bits."""
        batch = _batch(clip, self.text).to(self.device)
        noise = noise_of(clip.latent_key, tuple(batch.latents.shape)).to(self.device)
        height, width = batch.latents.shape[-2:]
        sigmas = sampler_sigmas(self.levels, self.shift.at(latent_height=height, latent_width=width))
        losses = torch.cat([self._loss(batch, noise, sigma) for sigma in sigmas])
        return [Point(sigma, loss) for sigma, loss in zip(sigmas, losses.tolist(), strict=True)]

    def _loss(self, batch: Batch, noise: Float[Tensor, "1 C T h w"], sigma: float) -> Float[Tensor, " 1"]:
        noised = mix(batch.latents.float(), noise, torch.tensor([sigma], device=self.device))
        return mean_squared_error(self.family.predict(self.transformer, noised, batch), noised.target)


def sampler_sigmas(levels: int, shift: float) -> list[float]:
    """Return the noise levels that a sampler visits in so many steps: even from 1 toward LOWEST, then shifted."""
    return [shift_sigma(sigma, shift) for sigma in np.linspace(1, LOWEST, levels + 1)[:-1].tolist()]


def noise_of(key: str, shape: tuple[int, ...]) -> Tensor:
    """Return a held-out clip's noise, standard normal, float32: always the same, in every run.

    key: of the encoded clip. It says what the clip shows, so that no other clip's coming or going changes the noise.
    """
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=7).digest())
    return torch.from_numpy(DRAWS.stream(Purpose.EVALUATION, number).standard_normal(shape, dtype=np.float32))


def curve_of(points: Sequence[Point]) -> tuple[tuple[float, float], ...]:
    """Return (sigma, mean loss of the clips measured there), noisiest first.

    With a shift that follows the frame size, clips of other sizes are measured at other levels.
    """
    losses: defaultdict[float, list[float]] = defaultdict(list)
    for point in points:
        losses[point.sigma].append(point.loss)
    return tuple((sigma, fmean(losses[sigma])) for sigma in sorted(losses, reverse=True))


def _batch(item: Item, text: TensorReader) -> Batch:
    """Return one clip with its first caption."""
    return Batch(
        latents=item.latents.read(0)[None],
        text=text.read(item.caption_keys[0])[None],
        ids=(item.id,),
        bucket=item.bucket,
    )
