"""`best/`: a whole checkpoint of the step with the lowest held-out loss so far.

It is chosen by the mean over all clips that are measured, with the weights that are the run's result. Step 0 is not
among them: it holds nothing that was learned. The checkpoints' limit does not count it, and rotation leaves it alone.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from safetensors import SafetensorError

from reeltune.contracts.checkpoints import BEST, best_step, name_of
from reeltune.errors import CheckpointError
from reeltune.train.checkpoint import Checkpoints, bring_to_disk
from reeltune.train.history import History
from reeltune.train.measurement import Measurement
from reeltune.train.verdict import comparable
from reeltune.whole_files import duplicate, replaced_folder, unused_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """The mean held-out loss of a step, over all datasets."""

    step: int
    loss: float


def best_score(history: History, datasets: Sequence[str], weights: str) -> Score | None:
    """Return the earliest step with the lowest finite loss; None when no step was measured whole.

    Steps that measured other clips than the last one cannot be compared with it and are left out.
    """
    by_step = _whole_steps([history.series(dataset, weights) for dataset in datasets])
    if not by_step:
        return None
    latest = by_step[-1]
    like_it = [step for step in by_step if all(map(comparable, step, latest))]
    scores = [Score(step[0].step, _mean(step)) for step in like_it]
    return min(
        (score for score in scores if math.isfinite(score.loss)),
        key=lambda score: score.loss,
        default=None,
    )


def keep_best(checkpoints: Checkpoints, score: Score, write: Callable[[Path], None]) -> None:
    """Let `best/` hold the checkpoint of this step; what was there goes when the new one is whole.

    write: fills a folder as a checkpoint; a checkpoint that stands is linked instead. One that cannot be written is
    said, and the run goes on.
    """
    place = checkpoints.folder / BEST
    try:
        with replaced_folder(place) as draft:
            if score.step in checkpoints.steps():
                _link(checkpoints.path(score.step), draft)
            else:
                write(draft)
            bring_to_disk(draft)
    except (OSError, SafetensorError, CheckpointError) as error:
        log.warning("%s could not be written for step %d: %s. Training goes on.", place, score.step, error)
    else:
        log.info("best so far: step %d, held-out loss %.4f; %s holds its checkpoint", score.step, score.loss, place)


def follow_start(checkpoints: Checkpoints, step: int | None, score: Score | None) -> None:
    """Let `best/` fit what a run that goes on knows. step: it goes on from. score: the best up to there.

    One of a later step, or of a start that left no checkpoint, gets another name; the best before it comes back where
    its checkpoint still stands.
    """
    place = checkpoints.folder / BEST
    _bring_back(place)
    there = best_step(checkpoints.folder)
    if there is not None and (step is None or there > step):
        aside = place.rename(unused_name(place.with_name(f"superseded-{BEST}")))
        log.info("the best checkpoint was of the later step %d; it was renamed to %s", there, aside.name)
        there = None
    if score is None or score.step == there:
        return
    if score.step in checkpoints.steps():
        keep_best(checkpoints, score, _nothing)
    elif there is None:
        log.info(
            "step %d was the best up to here; %s is gone, the next that is better is kept",
            score.step,
            name_of(score.step),
        )


def _bring_back(place: Path) -> None:
    """Give the folder its name again where a process was killed between taking it away and putting the next there."""
    for old in place.parent.glob(f".{place.name}.old.*.writing"):
        if not place.exists():
            old.rename(place)


def _whole_steps(series: Sequence[Sequence[Measurement]]) -> list[list[Measurement]]:
    """Return the measurements of each step after 0 at which every dataset was measured, by step."""
    tables = [{one.step: one for one in own if one.step > 0} for own in series]
    steps = set.intersection(*map(set, tables)) if tables else set()
    return [[table[step] for table in tables] for step in sorted(steps)]


def _mean(measurements: Sequence[Measurement]) -> float:
    return fmean(point.loss for one in measurements for clip in one.clips for point in clip.points)


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_duplicate, dirs_exist_ok=True)


def _duplicate(source: str, target: str) -> None:
    duplicate(Path(source), Path(target))


def _nothing(folder: Path) -> None:
    raise AssertionError(folder)
