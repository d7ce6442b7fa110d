"""Every event of a run as a line of JSON in `events.jsonl`: the log that programs read.

JSON has no word for numbers that are not finite, and null would hide which one it was: they are the strings "nan",
"inf" and "-inf", which Python's `float` reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reeltune.contracts.events import Event
from reeltune.whole_files import append_line

JOURNAL = "events.jsonl"
"""Its name in the folder of a run."""


class Journal:
    """Appends to the file and lets each line reach the disk's cache at once; a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def receive(self, event: Event) -> None:
        record = {"event": type(event).__name__, **asdict(event)}
        line = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False) + "\n"
        append_line(self._path, line.encode())

    def close(self) -> None:
        """Do nothing: between events no file is open."""


def step_losses(path: Path, until: int) -> Iterator[tuple[list[float], list[float]]]:
    """Yield noise levels and losses of the samples of each step that counts, in order, up to the step `until`.

    A run that went on from an earlier step took later ones once more: what it wrote last counts. Steps that were
    written down by versions that did not tell their samples are passed over; so is half a line.
    """
    steps: dict[int, tuple[list[float], list[float]]] = {}
    for event in events_in(path):
        match event:
            case {"event": "RunStarted", "step": start}:
                steps = {step: samples for step, samples in steps.items() if step <= start}
            case {"event": "StepDone", "step": step, "sigmas": sigmas, "losses": losses}:
                steps[step] = (sigmas, losses)
    yield from (steps[step] for step in sorted(steps) if step <= until)


def events_in(path: Path) -> Iterator[Any]:
    """Yield the events of a journal as dictionaries, in order; what is no JSON, such as half a line, is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case Path():
            return str(value)
    return value
