"""What trackers do with the numbers and videos of a run, each in its own way. All of it happens beside the loop."""

from __future__ import annotations

import csv
import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from reeltune.secrets import without_secrets
from reeltune.whole_files import whole_file

log = logging.getLogger(__name__)

LEVELS = tuple(f"loss/sigma/{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}" for tenth in range(10))
"""The running loss of each tenth of the noise levels, cleanest first."""

SCALARS = (
    *("train_loss", "learning_rate", "grad_norm", "step_seconds", "tokens_per_second"),
    *("grad_max", "effective_learning_rate", "data_seconds", "memory_bytes", "mfu"),
    *LEVELS,
)
"""What is told of steps. Some of it is not known everywhere, or not yet."""


@runtime_checkable
class Backend(Protocol):
    """What a tracker can do; all of it on one thread."""

    def start(self, step: int) -> None:
        """Open; the run goes on from this step, and what is known of later ones no longer counts."""
        ...

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step: those of SCALARS that are known."""
        ...

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured after a step; its names differ from run to run."""
        ...

    def changes(self, step: int, values: Mapping[str, float]) -> None:
        """Take how far what is trained is from its start, block by block; not every step tells it."""
        ...

    def video(self, step: int, path: Path) -> None: ...

    def close(self, *, finished: bool) -> None: ...


class CsvFile:
    """A table with one row per step; a run that goes on continues it, and rewrites the steps that it repeats.

    What is measured after few steps is in tables beside it, `evaluation.csv` and `weight_change.csv`: a row per number,
    with its name.
    """

    def __init__(self, path: Path) -> None:
        self._steps = Table(path, ("step", *SCALARS))
        self._evaluations = Table(path.with_name("evaluation.csv"), ("step", "name", "value"))
        self._changes = Table(path.with_name("weight_change.csv"), ("step", "name", "value"))

    def start(self, step: int) -> None:
        self._steps.keep_until(step)
        for table in (self._evaluations, self._changes):
            if table.path.exists():
                table.keep_until(step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._steps.add(step, *(values.get(name, "") for name in SCALARS))

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._evaluations.add(step, name, value)

    def changes(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._changes.add(step, name, value)

    def video(self, step: int, path: Path) -> None:
        """Do nothing: a table has no place for it."""

    def close(self, *, finished: bool) -> None:
        """Do nothing: between rows no file is open."""


@dataclass(frozen=True)
class Table:
    """A file of comma-separated rows. columns: the first is the step."""

    path: Path
    columns: tuple[str, ...]

    def keep_until(self, step: int) -> None:
        """Drop the rows of later steps; where there is no file, begin one."""
        rows = [row for row in self._rows() if int(row["step"]) <= step]
        with whole_file(self.path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    def add(self, *row: int | float | str) -> None:
        if not self.path.exists():
            self.keep_until(0)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        # A power cut may leave half a row, which is not told from a whole one but by its missing end.
        return list(csv.DictReader(line for line in lines if line.endswith("\n")))


class Tensorboard:
    """Event files as tensorboard reads them, through its own writer, which does without torch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def start(self, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self._folder), flush_secs=10)
        # Readers then drop what an earlier process wrote about the steps that are now taken again.
        self._add(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

        entries = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(step, summary=Summary(value=entries))

    evaluation = scalars
    changes = scalars

    def video(self, step: int, path: Path) -> None:
        """Do nothing: tensorboard shows no video files."""

    def close(self, *, finished: bool) -> None:
        self._writer.close()

    def _add(self, step: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

        self._writer.add_event(Event(wall_time=time.time(), step=step, **content))


class Wandb:
    """Weights & Biases. The run's identity lies in its folder, so that a run that goes on is the same run there.

    Steps are a number of ours, not its own count: that one only grows, and repeated steps would be thrown away.
    """

    def __init__(self, project: str, run: str, *, folder: Path, config: Mapping[str, Any], offline: bool) -> None:
        self._project = project
        self._name = run
        self._folder = folder
        self._config = config
        self._offline = offline
        self._run: Any = None

    def start(self, step: int) -> None:
        self._run = self._init()
        self._run.define_metric("*", step_metric="step")
        # In a run's address there is a key only in wandb's anonymous mode, which is never asked for.
        where = f"{self._folder / 'wandb'}; `wandb sync` sends it" if self._offline else self._run.url
        log.info("wandb: this run is at %s", where)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "step": step})

    evaluation = scalars
    changes = scalars

    def video(self, step: int, path: Path) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        name = re.sub(r"^step-\d+-", "", path.stem)
        self._run.log({f"validation/{name}": wandb.Video(str(path), caption=path.stem), "step": step})

    def close(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)

    def _init(self) -> Any:
        """Open the run; when that fails, offline, so that nothing is lost."""
        if not self._offline:
            try:
                return self._open(mode=None)
            except Exception as error:  # wandb's own errors, and those of all that it stands on
                log.warning("wandb cannot be reached and is written to files only: %s", without_secrets(str(error)))
                self._offline = True
        return self._open(mode="offline")

    def _open(self, *, mode: str | None) -> Any:
        import wandb  # pyright: ignore[reportMissingImports]

        return wandb.init(
            project=self._project,
            name=self._name,
            id=self._identity(),
            resume="allow",
            dir=str(self._folder),
            config=dict(self._config),
            mode=mode,
            # Console lines stay here: they are drawn over and over, and not meant for a server.
            settings={"console": "off"},
        )

    def _identity(self) -> str:
        path = self._folder / "wandb-run-id.txt"
        if not path.exists():
            with whole_file(path) as draft:
                draft.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()
