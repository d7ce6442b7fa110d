"""What is told over HTTP about each event: a sentence for people, and fields for programs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reeltune.config.webhooks import Level
from reeltune.contracts.events import (
    CheckpointSaved,
    Event,
    RenderFailed,
    RunFinished,
    RunStarted,
    SampleRendered,
    StepDone,
    StepSkipped,
)


@dataclass(frozen=True)
class Message:
    """type, fields: for programs. text: for people. video: a file that goes with it."""

    type: str
    severity: Level
    title: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    video: Path | None = None


def message_of(event: Event, total_steps: int) -> Message | None:
    """Return what is told about an event; None for one that is not told. total_steps: of the run."""
    tell = TELLINGS.get(type(event))
    return tell(event, total_steps) if tell else None


def broken_off(step: int, total_steps: int) -> Message:
    """Return what is told when a run ends without having said so."""
    text = f"Training ended with an error after step {step} of {total_steps}."
    return Message(
        "lifecycle.stage",
        "error",
        "Training failed",
        text,
        _stage("training_abort", "Training failed", "failed", step, total_steps),
    )


def with_pictures(message: Message) -> Mapping[str, Any]:
    """Return the fields of a message, with the first picture of its video as base64 PNG where there is one."""
    picture = message.video.with_suffix(".png") if message.video else None
    if picture is None or not picture.exists():
        return message.fields
    return {**message.fields, "images": [base64.b64encode(picture.read_bytes()).decode("ascii")]}


def _started(event: RunStarted, total_steps: int) -> Message:
    text = f"Training begins at step {event.step} of {event.total_steps}."
    stage = _stage("training", "Training", "running", event.step, event.total_steps)
    return Message("lifecycle.stage", "info", "Training started", text, stage)


def _step(event: StepDone, total_steps: int) -> Message:
    text = f"Step {event.step} of {event.total_steps}: loss {event.loss:.4f}, learning rate {event.learning_rate:.3g}"
    metrics = {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "grad_norm": event.grad_norm,
        "step_seconds": event.seconds,
    }
    progress = {**_progress(event.step, event.total_steps), "metrics": metrics}
    fields = {"data": {"status": "running", "step": event.step}, "progress": progress}
    return Message("training.status", "info", "Training", text, fields)


def _skipped(event: StepSkipped, total_steps: int) -> Message:
    text = (
        f"Step {event.step} was skipped: loss {event.loss}, gradient norm {event.grad_norm}; "
        f"samples {', '.join(event.ids)}"
    )
    return Message("notification", "warning", "Step skipped", text, {"data": {"step": event.step}})


def _saved(event: CheckpointSaved, total_steps: int) -> Message:
    text = f"Checkpoint {event.path.name} was saved in {event.seconds:.1f} s."
    checkpoint = {"path": str(event.path), "label": event.path.name, "is_final": event.step >= total_steps}
    return Message("training.checkpoint", "info", "Checkpoint saved", text, {"checkpoint": checkpoint})


def _rendered(event: SampleRendered, total_steps: int) -> Message:
    text = f"Validation video of step {event.step}, {event.weights} weights: {event.path.name}"
    validation = {"step": event.step, "weights": event.weights, "path": str(event.path), "seconds": event.seconds}
    return Message("training.validation", "info", "Validation", text, {"validation": validation}, video=event.path)


def _render_failed(event: RenderFailed, total_steps: int) -> Message:
    text = f"The validation video of step {event.step} failed: {event.reason}"
    return Message("notification", "warning", "Validation failed", text, {"data": {"step": event.step}})


def _finished(event: RunFinished, total_steps: int) -> Message:
    title = "Training stopped on request" if event.stopped else "Training complete"
    key = "training_abort" if event.stopped else "training_complete"
    text = f"{title}: step {event.step} of {total_steps}."
    return Message("lifecycle.stage", "info", title, text, _stage(key, title, "completed", event.step, total_steps))


TELLINGS: Mapping[type, Callable[[Any, int], Message]] = {
    RunStarted: _started,
    StepDone: _step,
    StepSkipped: _skipped,
    CheckpointSaved: _saved,
    SampleRendered: _rendered,
    RenderFailed: _render_failed,
    RunFinished: _finished,
}


def _stage(key: str, label: str, status: str, current: int, total: int) -> dict[str, Any]:
    progress = {"label": "steps", **_progress(current, total)}
    return {"stage": {"key": key, "label": label, "status": status, "progress": progress}}


def _progress(current: int, total: int) -> dict[str, Any]:
    percent = round(100 * current / total, 1) if total else 0.0
    return {"current": current, "total": total, "percent": percent}
