"""The loss on held-out clips, measured so that two numbers differ by the weights alone.

Each clip has one noise of its own and is measured at the levels that a sampler visits, with its first caption, without
dropout and with every token in every block. The loss of training draws all of these anew at each step, so it is too
restless to compare checkpoints or runs by.

A measurement that fails never stops training: it is reported, and the next one is made.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
from reeltune.train.best import Score, best_score
from reeltune.train.history import History
from reeltune.train.measurement import ClipLosses, Measurement, Point
from reeltune.train.schedule import Every
from reeltune.train.state import TrainState, Weights
from reeltune.train.team import ALONE, Team
from reeltune.train.verdict import judge

log = logging.getLogger(__name__)

LOWEST = 1 / 1000
"""Where a sampler's grid ends, before the shift; the end itself is not visited."""

DRAWS = Draws(seed=0)
"""Not the run's own: runs with other seeds are measured with the same noise, and can be compared."""


class MeasurementFailed(Exception):
    """A clip could not be measured, in this process or in another; it says why."""


@dataclass(frozen=True)
class Share:
    """What one process measured. found: by the clip's place among all. failure: why it could not go on."""

    found: dict[int, ClipLosses]
    failure: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Measures the loss on held-out clips.

    clips: by dataset. text: where their encoded captions lie. levels: how many noise levels each clip is measured at.
    shift: of training. history: what was measured so far. team: the processes that share the clips.
    """

    every: Every
    family: Family
    transformer: nn.Module
    clips: Mapping[str, Sequence[Item]]
    text: TensorReader
    shift: Shift
    levels: int
    device: torch.device
    history: History = field(default_factory=History)
    team: Team = ALONE

    def measure(self, state: TrainState, stop_requested: Callable[[], bool]) -> Iterator[Evaluated]:
        """Yield the loss on each dataset with the raw weights, then with their average; leave all as it was.

        What is not measured when a stop is requested is left out.
        """
        try:
            yield from self._measured(state, stop_requested)
        except Exception as error:  # whatever goes wrong in a measurement, the run is worth more
            reason = str(error) if isinstance(error, MeasurementFailed) else _said(error)
            log.warning("no loss on held-out clips at step %d: %s. Training goes on.", state.step, reason)
            log.debug("where it failed", exc_info=error)

    def owed(self, state: TrainState) -> bool:
        """Tell whether the step that a run begins with is still to be measured.

        It is where something was never measured, so that all that comes has a start to be compared with, and where the
        run was stopped before the measurement that was due.
        """
        return not all(self._series(state)) or (self.every.due(state.step) and not self.done(state))

    def done(self, state: TrainState) -> bool:
        """Tell whether all is measured with the weights of this step."""
        return all(state.step in {known.step for known in own} for own in self._series(state))

    def _series(self, state: TrainState) -> list[list[Measurement]]:
        return [self.history.series(dataset, kind) for kind in state.kinds() for dataset in self.clips]

    def best(self, weights: Weights) -> Score | None:
        """Return the best of the steps measured so far; see `best.py`."""
        return best_score(self.history, list(self.clips), weights)

    def _measured(self, state: TrainState, stop_requested: Callable[[], bool]) -> Iterator[Evaluated]:
        for kind in state.kinds():
            for dataset, clips in self.clips.items():
                losses = self._losses(state, kind, clips, stop_requested)
                if losses is None:
                    return
                measurement = Measurement(state.step, dataset, kind, losses)
                self.history.add(measurement, write=self.team.leads)
                yield event_of(measurement, self.history.series(dataset, kind))

    def _losses(
        self, state: TrainState, kind: Weights, clips: Sequence[Item], stop_requested: Callable[[], bool]
    ) -> tuple[ClipLosses, ...] | None:
        """Return the losses of all clips, in their order, whichever process measured them; None when asked to stop.

        Raises MeasurementFailed in every process when one of them fails: none may wait for what will not come.
        """
        shares = self.team.gathered([self._share(state, kind, clips, stop_requested)])
        if failures := [share.failure for share in shares if share.failure]:
            raise MeasurementFailed(failures[0])
        found = {index: losses for share in shares for index, losses in share.found.items()}
        return tuple(found[index] for index in range(len(clips))) if len(found) == len(clips) else None

    def _share(
        self, state: TrainState, kind: Weights, clips: Sequence[Item], stop_requested: Callable[[], bool]
    ) -> Share:
        """Measure this process's clips, until asked to stop."""
        found: dict[int, ClipLosses] = {}
        try:
            with state.acting_as(kind), in_evaluation(self.transformer):
                for index, clip in self.team.share(list(enumerate(clips))):
                    if stop_requested():
                        break
                    found[index] = ClipLosses(clip.id, key_of(clip), self._points(clip))
        except Exception as error:  # the other processes must hear of it before measuring ends here
            log.debug("where it failed", exc_info=error)
            return Share(found, _said(error))
        return Share(found)

    @torch.no_grad()
    def _points(self, clip: Item) -> tuple[Point, ...]:
        """Measure one clip at all levels, one forward each: a batch of levels would give other last bits."""
        batch = _batch(clip, self.text).to(self.device)
        noise = noise_of(clip.latent_key, tuple(batch.latents.shape)).to(self.device)
        height, width = batch.latents.shape[-2:]
        sigmas = sampler_sigmas(self.levels, self.shift.at(latent_height=height, latent_width=width))
        losses = torch.cat([self._loss(batch, noise, sigma) for sigma in sigmas])
        return tuple(Point(sigma, loss) for sigma, loss in zip(sigmas, losses.tolist(), strict=True))

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


def key_of(clip: Item) -> str:
    """Return a name for what is measured of a clip: its encoding and its first caption's."""
    return hashlib.blake2b(f"{clip.latent_key} {clip.caption_keys[0]}".encode(), digest_size=8).hexdigest()


def event_of(measurement: Measurement, series: Sequence[Measurement]) -> Evaluated:
    """Return what the listeners are told. series: up to this measurement, which is its last."""
    verdict = judge(series)
    return Evaluated(
        step=measurement.step,
        dataset=measurement.dataset,
        weights=measurement.weights,
        loss=measurement.loss,
        curve=measurement.curve,
        standard_error=measurement.standard_error,
        error_over=measurement.error_over,
        clips=len(measurement.clips),
        verdict_kind=verdict.kind,
        verdict=verdict.text,
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _batch(item: Item, text: TensorReader) -> Batch:
    """Return one clip with its first caption."""
    return Batch(
        latents=item.latents.read(0)[None],
        text=text.read(item.caption_keys[0])[None],
        ids=(item.id,),
        bucket=item.bucket,
    )
