"""Checkpoints: a folder that exists is whole.

A checkpoint is written to a hidden folder beside its place, brought to the disk, and only then given its name. Older
ones go after the new one stands. What is in a folder:

    state.json             format, step
    trainable.safetensors  the trained tensors, float32
    ema.safetensors        their average, when one is kept
    fixed.safetensors      what the kind of adapter needs beside them, when it needs anything
    optimizer.safetensors  the optimizer's tensors; optimizer.json the rest of its state
    config.json, plan.json what the run was asked, and what it worked out; data.json the fingerprint of its data
    and the adapter files, as `results.py` writes them
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reeltune.contracts.checkpoints import name_of, place_of, steps_in
from reeltune.errors import CheckpointError
from reeltune.tensor_files import save_tensors
from reeltune.train.state import Snapshot, Weights
from reeltune.whole_files import DRAFTS, unused_name, write_json

FORMAT = 1
Records = Mapping[str, dict[str, Any]]
"""JSON files by name."""

_FILES: dict[Weights, str] = {"raw": "trainable.safetensors", "ema": "ema.safetensors"}
_FIXED = "fixed.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run folder; the newest `limit` are kept."""

    folder: Path
    limit: int

    def path(self, step: int) -> Path:
        return self.folder / name_of(step)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending."""
        return steps_in(self.folder)

    def save(self, snapshot: Snapshot, records: Records, write_results: Callable[[Path], None]) -> Path:
        """Write a checkpoint, whole or not at all, then let the oldest go.

        records: JSON files that say what the run was. write_results: adds the adapter files to the folder.
        Raises CheckpointError when it cannot be written; the older ones stand.
        """
        with self._draft(snapshot.step) as draft:
            write_checkpoint(draft, snapshot, records)
            write_results(draft)
        self._rotate()
        return self.path(snapshot.step)

    def load(self, step: int) -> Snapshot:
        """Read a checkpoint. Raises CheckpointError when it is of another format or cannot be read."""
        place = place_of(self.folder, step)
        try:
            return _read(place)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise CheckpointError(f"{place} cannot be read: {error}. Name an older one: {self._older(step)}") from error

    def clear_drafts(self) -> None:
        """Remove what a killed process left half-written, checkpoints and single files. No other run may be here."""
        for draft in list(self.folder.rglob(DRAFTS)):
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)

    def set_aside_after(self, step: int) -> list[Path]:
        """Rename the checkpoints of later steps: a run that goes on from here will write its own. Return their places.

        They keep their contents under another name, and no longer count as checkpoints.
        """
        later = [self.path(known) for known in self.steps() if known > step]
        return [place.rename(unused_name(place.with_name(f"superseded-{place.name}"))) for place in later]

    @contextmanager
    def _draft(self, step: int) -> Iterator[Path]:
        """Give a hidden folder that gets its name when the block ends well, and is gone when it does not."""
        draft, place = self._draft_path(step), self.path(step)
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            yield draft
            bring_to_disk(draft)
            draft.rename(place)
            _sync(self.folder)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{place} could not be written: {error}. Make room or give permission, then run the same command "
                f"again: it continues from {self._newest()}."
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _draft_path(self, step: int) -> Path:
        return self.folder / f".{name_of(step)}.writing"

    def _rotate(self) -> None:
        for step in self.steps()[: -self.limit]:
            # Renamed first: a removal that is cut short must not leave a folder that looks whole.
            doomed = self.path(step).rename(self._draft_path(step))
            shutil.rmtree(doomed, ignore_errors=True)

    def _newest(self) -> str:
        steps = self.steps()
        return name_of(steps[-1]) if steps else "the start"

    def _older(self, step: int) -> str:
        older = [known for known in self.steps() if known < step]
        return f"resume_from_checkpoint={name_of(older[-1])}" if older else 'none is left; resume_from_checkpoint=""'


def bring_to_disk(folder: Path) -> None:
    """Make sure that every file below a folder, and its name, would survive a loss of power."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders; it has no need to
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_checkpoint(folder: Path, snapshot: Snapshot, records: Records) -> None:
    """Write all of a checkpoint but the adapter files into a folder."""
    for kind, tensors in snapshot.weights.items():
        save_tensors(folder / _FILES[kind], tensors)
    if snapshot.fixed:
        save_tensors(folder / _FIXED, snapshot.fixed)
    save_tensors(folder / "optimizer.safetensors", snapshot.optimizer)
    write_json(folder / "optimizer.json", snapshot.optimizer_scalars)
    for name, record in records.items():
        write_json(folder / name, record)
    write_json(folder / "state.json", {"format": FORMAT, "step": snapshot.step})


def _read(folder: Path) -> Snapshot:
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if state["format"] != FORMAT:
        raise ValueError(f"it is of format {state['format']}, and this version reads {FORMAT}")
    weights: dict[Weights, dict[str, Tensor]] = {"raw": load_file(folder / _FILES["raw"])}
    if (folder / _FILES["ema"]).exists():
        weights["ema"] = load_file(folder / _FILES["ema"])
    return Snapshot(
        step=state["step"],
        weights=weights,
        optimizer=load_file(folder / "optimizer.safetensors"),
        optimizer_scalars=json.loads((folder / "optimizer.json").read_text(encoding="utf-8")),
        fixed=load_file(folder / _FIXED) if (folder / _FIXED).exists() else {},
    )
