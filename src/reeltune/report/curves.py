"""The curves of a run as pictures in its folder: `evaluation.png` after each measurement of held-out clips and at the
end; `loss.png` at the end of a run that measures nothing.

They are drawn beside the loop. What was drawn before a run went on is read from its journal.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from pathlib import Path

from reeltune.contracts.events import Evaluated, Event, RunFinished, RunStarted, StepDone
from reeltune.report.background import Background
from reeltune.report.course import Course, measured_of
from reeltune.report.curves_picture import evaluation_picture, loss_picture
from reeltune.report.journal import JOURNAL, events_in

EVALUATION_PICTURE, LOSS_PICTURE = "evaluation.png", "loss.png"

FEWEST_STEPS = 20
"""A curve of fewer steps tells nothing."""

MOST_WAITING = 1000
"""Steps that wait before they are taken into the course, so that a long run does not pile up."""

WAIT_S = 20.0
"""For the last picture, when the run ends."""


class Curves:
    """Draws a run. folder: of the run. weights: those of the result, raw or ema, by which the best step is told."""

    def __init__(self, folder: Path, *, weights: str) -> None:
        self._folder = folder
        self._weights = weights
        self._background = Background("curves")
        # The loop's thread puts in, the worker takes out; the course is the worker's alone.
        self._waiting: deque[StepDone | Evaluated] = deque()
        self._course = Course()
        self._due = False

    def receive(self, event: Event) -> None:
        if self._due and not isinstance(event, Evaluated):
            # Not at once: a step's measurements of several datasets and weights make one picture.
            self._submit_drawing()
        match event:
            case RunStarted():
                self._background.submit("reading", self._read)
            case StepDone():
                self._waiting.append(event)
                if len(self._waiting) > MOST_WAITING:
                    self._background.submit("collecting", self._collect, instead=True)
            case Evaluated():
                self._waiting.append(event)
                self._due = True
            case RunFinished():
                self._submit_drawing()
                self._background.submit("drawing the loss", self._draw_loss)

    def close(self) -> None:
        """Draw what is due, also of a run that failed."""
        if self._due:
            self._submit_drawing()
        self._background.close(WAIT_S)

    def _submit_drawing(self) -> None:
        self._due = False
        self._background.submit("drawing", self._draw, instead=True)

    def _read(self) -> None:
        self._course.read(events_in(self._folder / JOURNAL))

    def _collect(self) -> None:
        while self._waiting:
            event = self._waiting.popleft()
            if isinstance(event, Evaluated):
                self._course.add_measured(measured_of(asdict(event)))
            else:
                self._course.add_step(event.step, event.loss, event.learning_rate)

    def _draw(self) -> None:
        self._collect()
        if self._course.series:
            evaluation_picture(self._course, self._folder / EVALUATION_PICTURE, weights=self._weights)

    def _draw_loss(self) -> None:
        if not self._course.series and len(self._course.steps) >= FEWEST_STEPS:
            loss_picture(self._course, self._folder / LOSS_PICTURE)
