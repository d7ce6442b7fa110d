"""Which files a run leaves, for people and for other programs.

    the run folder   the result, in every layout that the kind of training has, as its `Publisher` writes it
    raw/ or ema/     the other of raw and averaged weights, when an average is kept

The result holds the averaged weights when renders show only those, so that what was looked at is what is published.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reeltune.contracts.trained import Publisher
from reeltune.train.state import TrainState, Weights
from reeltune.whole_files import duplicate, replaced_folder, whole_file


@dataclass(frozen=True)
class Results:
    """How what is trained becomes files. main: which weights are the result."""

    run_name: str
    main: Weights
    publisher: Publisher

    def write(self, folder: Path, state: TrainState) -> None:
        """Write all files of this step below a folder. Raises CheckpointError when one does not hold what acts."""
        main = self.result_of(state)
        for kind in state.kinds():
            with state.acting_as(kind):
                self.publisher.write(folder if kind == main else folder / kind, self.run_name, step=state.step)

    def result_of(self, state: TrainState) -> Weights:
        """Return which of the weights are the result: the raw ones where no average is kept."""
        return self.main if self.main in state.kinds() else "raw"

    def prove(self, folder: Path) -> None:
        """Show, with files below a folder that are gone afterwards, that this run's files will hold what acts.

        Raises CheckpointError.
        """
        with tempfile.TemporaryDirectory(dir=folder, prefix=".proof.", suffix=".writing") as scratch:
            self.publisher.prove(Path(scratch))

    def publish(self, checkpoint: Path, folder: Path) -> None:
        """Copy a checkpoint's results to the run folder, each file whole or not at all.

        What an earlier part of the run left of weights that are no longer kept apart goes: it is of another step.
        """
        for kind in ("", "raw", "ema"):
            for place in self.publisher.places(self.run_name):
                _copy(checkpoint / kind / place, folder / kind / place)
            if kind and not (checkpoint / kind).exists():
                shutil.rmtree(folder / kind, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Let a file or a folder, where there is one, stand at another place too, whole, instead of what was there."""
    if source.is_dir():
        with replaced_folder(target) as draft:
            for file in source.iterdir():
                duplicate(file, draft / file.name)
    elif source.exists():
        with whole_file(target) as draft:
            duplicate(source, draft)
