"""Validation videos, made from the weights as a user will get them.

A render that fails never stops training: it is reported, and the next one is made. Before the first step the bare base
renders every prompt once, so that there is something to compare with; these videos are made again only when what they
depend on has changed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reeltune.config.prompts import file_safe
from reeltune.contracts.events import RenderFailed, SampleRendered
from reeltune.contracts.family import Render, RenderRequest
from reeltune.media import Frames, write_mp4, write_png
from reeltune.train.shown import Show, Showing, Shown
from reeltune.whole_files import whole_file, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedRequest:
    """A video and the short name it is filed under. fingerprint: names all that the bare base's video depends on."""

    name: str
    request: RenderRequest
    fingerprint: str = ""


@dataclass(frozen=True)
class Job:
    """One video file to make. fingerprint: kept in a record beside it; None keeps none."""

    step: int
    path: Path
    request: RenderRequest
    weights: Shown
    fingerprint: str | None = None

    @property
    def record(self) -> Path:
        """Return the file that says with which settings the video was made."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True)
class Renders:
    """The validation videos of a run.

    open: gives the family's renderer around the transformer in training. shown: which weights are rendered.
    showing: lets the transformer act with them. randomize: whether each step has noise of its own.
    benchmark_folder: for the bare base's videos; None makes none.
    """

    folder: Path
    requests: Sequence[NamedRequest]
    shown: Sequence[Shown]
    fps: float
    showing: Showing
    open: Callable[[], AbstractContextManager[Render]]
    randomize: bool = False
    benchmark_folder: Path | None = None

    def done(self, step: int) -> bool:
        """Tell whether all videos of a step exist."""
        return all(job.path.exists() for job in self._jobs(step))

    def render(self, step: int) -> Iterator[SampleRendered | RenderFailed]:
        """Make the videos of a step, yielding what became of each."""
        yield from self._make(self._jobs(step))

    def benchmark(self) -> Iterator[SampleRendered | RenderFailed]:
        """Make each video with the bare base, except those that stand and were made with the same settings."""
        if self.benchmark_folder is None:
            return
        jobs = [
            Job(
                0, self.benchmark_folder / f"{file_safe(named.name)}-base.mp4", named.request, "base", named.fingerprint
            )
            for named in self.requests
        ]
        jobs = [job for job in jobs if not job.path.exists() or _read(job.record) != {"fingerprint": job.fingerprint}]
        if jobs:
            yield from self._make(jobs)

    def _jobs(self, step: int) -> list[Job]:
        return [
            Job(step, self.folder / f"step-{step:06d}-{file_safe(named.name)}-{kind}.mp4", named.request, kind)
            for named in self.requests
            for kind in self.shown
        ]

    def _make(self, jobs: Sequence[Job]) -> Iterator[SampleRendered | RenderFailed]:
        """Open the renderer once and make the videos."""
        try:
            with _random_state_kept(), self.open() as render, self.showing() as show:
                for job in jobs:
                    yield self._made(job, render, show)
        except Exception as error:  # whatever goes wrong in a preview, the run is worth more
            yield _failed(jobs[0].step, error)

    def _made(self, job: Job, render: Render, show: Show) -> SampleRendered | RenderFailed:
        started = time.monotonic()
        request = reseeded(job.request, job.step) if self.randomize else job.request
        try:
            with show(job.weights) as adapter:
                self._write(job, render(request, adapter))
        except Exception as error:  # the other videos may still come out
            return _failed(job.step, error)
        return SampleRendered(job.step, job.path, job.weights, time.monotonic() - started)

    def _write(self, job: Job, frames: Frames) -> None:
        # Gone before the video changes, there again after it: a record never stands beside another video.
        job.record.unlink(missing_ok=True)
        # The picture first: a video that is there is complete with all that belongs to it.
        with whole_file(job.path.with_suffix(".png")) as draft:
            write_png(draft, frames[0])
        with whole_file(job.path) as draft:
            write_mp4(draft, frames, fps=self.fps)
        if job.fingerprint is not None:
            write_json(job.record, {"fingerprint": job.fingerprint})


def reseeded(request: RenderRequest, step: int) -> RenderRequest:
    """Return the request with a seed that follows from its own and the step."""
    mixed = np.random.SeedSequence((request.seed, step)).generate_state(1, np.uint64)
    return replace(request, seed=int(mixed[0]) >> 1)


def _random_state_kept() -> AbstractContextManager[None]:
    # Named one by one: torch warns when it is left to guess among several.
    return torch.random.fork_rng(devices=list(range(torch.cuda.device_count())))


def _failed(step: int, error: Exception) -> RenderFailed:
    log.warning("a validation video of step %d failed", step, exc_info=error)
    return RenderFailed(step, f"{type(error).__name__}: {error}")


def _read(record: Path) -> object:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
