"""Validation videos, made from the weights as a user will get them: written to a file and read back from it.

A render that fails never stops training: it is reported, and the run goes on.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from reeltune.contracts.events import RenderFailed, SampleRendered
from reeltune.contracts.family import Render, RenderRequest
from reeltune.media import write_mp4, write_png
from reeltune.train.results import FILE_NAME, SaveFile
from reeltune.train.state import Weights
from reeltune.whole_files import whole_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedRequest:
    """A video and the short name it is filed under."""

    name: str
    request: RenderRequest


@dataclass(frozen=True)
class Renders:
    """The validation videos of a run.

    open: gives the family's renderer around the transformer in training. shown: which weights are rendered.
    """

    folder: Path
    requests: Sequence[NamedRequest]
    shown: Sequence[Weights]
    fps: float
    save_adapter: SaveFile
    open: Callable[[], AbstractContextManager[Render]]

    def done(self, step: int) -> bool:
        """Tell whether all videos of a step exist."""
        return all(path.exists() for path, _, _ in self._jobs(step))

    def render(
        self, step: int, weights: Mapping[Weights, Mapping[str, Tensor]]
    ) -> Iterator[SampleRendered | RenderFailed]:
        """Make the videos of a step, yielding what became of each."""
        try:
            with self.open() as render, tempfile.TemporaryDirectory() as scratch:
                for path, request, kind in self._jobs(step):
                    started = time.monotonic()
                    adapter = Path(scratch) / kind / FILE_NAME
                    self.save_adapter(adapter, weights[kind])
                    self._make(path, render, request, adapter)
                    yield SampleRendered(step, path, kind, time.monotonic() - started)
        except Exception as error:  # whatever goes wrong in a preview, the run is worth more
            log.warning("the validation video of step %d failed", step, exc_info=error)
            yield RenderFailed(step, f"{type(error).__name__}: {error}")

    def _jobs(self, step: int) -> list[tuple[Path, RenderRequest, Weights]]:
        return [
            (self.folder / f"step-{step:06d}-{file_safe(named.name)}-{kind}.mp4", named.request, kind)
            for named in self.requests
            for kind in self.shown
        ]

    def _make(self, path: Path, render: Render, request: RenderRequest, adapter: Path) -> None:
        frames = render(request, adapter)
        # The picture first: a video that is there is complete with all that belongs to it.
        with whole_file(path.with_suffix(".png")) as draft:
            write_png(draft, frames[0])
        with whole_file(path) as draft:
            write_mp4(draft, frames, fps=self.fps)


def file_safe(name: str) -> str:
    """Return a name that every file system takes: letters of any script, digits, dots, dashes, underscores."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "video"
