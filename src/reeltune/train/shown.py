"""How the transformer in training comes to act, for a while, as what a video is to show.

An adapter is shown as its user will get it: written to a file and read back from it by the loader of that file, while
the one in training steps aside. A whole model is shown as it is: a second one would not fit beside it, and at each save
its files are compared with it tensor by tensor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from reeltune.train.state import TrainState, Weights

Shown = Weights | Literal["base"]
"""The weights of the run, raw or averaged, or the bare base."""

Show = Callable[[Shown], AbstractContextManager[Path | None]]
"""Gives the adapter file to render with, or None where the transformer acts as wanted by itself."""

Showing = Callable[[], AbstractContextManager[Show]]
"""Opens a place for the files of one time of rendering."""


def by_file(state: TrainState, write: Callable[[Path, int], Path], *, scratch: Path) -> Showing:
    """Show an adapter by its file.

    write: makes it in a folder, for a step, and returns it. scratch: where such folders are, for a while.
    """

    @contextmanager
    def showing() -> Iterator[Show]:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".shown.", suffix=".writing") as place:
            files: dict[Shown, Path] = {}

            @contextmanager
            def show(shown: Shown) -> Iterator[Path | None]:
                if shown != "base" and shown not in files:
                    with state.acting_as(shown):
                        files[shown] = write(Path(place) / shown, state.step)
                with state.trained.disabled():
                    yield files.get(shown)

            yield show

    return showing


def in_place(state: TrainState) -> Showing:
    """Show a whole model as it acts."""

    @contextmanager
    def show(shown: Shown) -> Iterator[Path | None]:
        with state.trained.disabled() if shown == "base" else state.acting_as(shown):
            yield None

    return lambda: nullcontext(show)
