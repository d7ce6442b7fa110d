"""Every event of a run as a line of JSON in `events.jsonl`: the log that programs read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from reeltune.contracts.events import Event


class Journal:
    """Appends to the file and lets each line reach the disk's cache at once; a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def receive(self, event: Event) -> None:
        record = {"event": type(event).__name__, **asdict(event)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
