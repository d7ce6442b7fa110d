"""All measurements of a run, in `evaluation.jsonl`: one line each, with every clip's losses. No torch.

A run that goes on from a step forgets what was measured later: it will be measured again, with the same numbers. Of a
measurement that was repeated the last line counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reeltune.train.measurement import ClipLosses, Measurement, Point
from reeltune.whole_files import append_line, whole_file

log = logging.getLogger(__name__)

FILE_NAME = "evaluation.jsonl"


@dataclass
class History:
    """What was measured so far. path: of the file; None keeps none."""

    path: Path | None = None
    _known: dict[tuple[str, str, int], Measurement] = field(default_factory=dict, init=False)

    def series(self, dataset: str, weights: str) -> list[Measurement]:
        """Return the measurements of one dataset with one kind of weights, by step."""
        own = [known for known in self._known.values() if (known.dataset, known.weights) == (dataset, weights)]
        return sorted(own, key=lambda known: known.step)

    def add(self, measurement: Measurement, *, write: bool = True) -> None:
        """Take in a measurement and write it down; in memory it stays even where it cannot be written."""
        self._take_in(measurement)
        if self.path and write:
            try:
                append_line(self.path, _line(measurement))
            except OSError as error:
                log.warning("the losses of step %d could not be written to %s: %s", measurement.step, self.path, error)

    def go_on_from(self, step: int | None) -> None:
        """Read what was measured up to a step, and drop the rest from the file as well; None drops all."""
        self._known.clear()
        if self.path is None or not self.path.exists():
            return
        for measurement in _read(self.path):
            if step is not None and measurement.step <= step:
                self._take_in(measurement)
        with whole_file(self.path) as draft:
            draft.write_bytes(b"".join(map(_line, self._known.values())))

    def _take_in(self, measurement: Measurement) -> None:
        self._known[measurement.dataset, measurement.weights, measurement.step] = measurement


def _line(measurement: Measurement) -> bytes:
    clips = [
        {"id": clip.id, "key": clip.key, "losses": [[point.sigma, _plain(point.loss)] for point in clip.points]}
        for clip in measurement.clips
    ]
    record = {
        "step": measurement.step,
        "dataset": measurement.dataset,
        "weights": measurement.weights,
        "clips": clips,
    }
    # A file name that is not UTF-8 holds lone surrogates, which only JSON's own escapes can say.
    return (json.dumps(record, allow_nan=False) + "\n").encode("ascii")


def _plain(loss: float) -> float | str:
    """Return a number as JSON can say it: one that is not finite is a string that `float` reads."""
    return loss if loss - loss == 0 else str(loss)


def _read(path: Path) -> Iterator[Measurement]:
    """Yield the measurements of a file; a line that a crash cut short is left out, and said."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            yield _measurement(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("line %d of %s cannot be read (%s) and is left out", number, path, error)


def _measurement(record: dict[str, Any]) -> Measurement:
    clips = tuple(
        ClipLosses(clip["id"], clip["key"], tuple(Point(float(sigma), float(loss)) for sigma, loss in clip["losses"]))
        for clip in record["clips"]
    )
    return Measurement(int(record["step"]), record["dataset"], record["weights"], clips)
