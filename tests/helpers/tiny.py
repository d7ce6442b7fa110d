"""The tiny model and runs of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.families.opening import Opening
from reeltune.families.wan.family import Wan, open_model


@dataclass(frozen=True)
class TinyRun:
    """A working directory with a run of the tiny example in it."""

    place: Path
    outcome: subprocess.CompletedProcess[str] | None = None

    @property
    def folder(self) -> Path:
        return self.place / "output/tiny/tiny-lora"

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one kind, in order."""
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def losses(self) -> dict[int, float]:
        """Return the loss of each step; of a step that was repeated, the last."""
        return {event["step"]: event["loss"] for event in self.events("StepDone")}


def copy_prepared(example: Path, place: Path) -> TinyRun:
    """Copy clips, model and caches, but no run, to a new working directory."""
    for name in ("clips", "model", "cache"):
        source = example / "output/tiny" / name
        if source.exists():
            shutil.copytree(source, place / "output/tiny" / name)
    return TinyRun(place)


def open_tiny(model: Path, dtype: torch.dtype) -> Wan:
    return open_model(ModelOptions(pretrained_model_name_or_path=str(model)), Opening(dtype))


def random_batch(*, size: int = 2, text_length: int = 9, text_width: int = 32, seed: int = 0) -> Batch:
    """Return a batch of 17 frames of 96x64 pixels with random contents."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        latents=torch.randn(size, 16, 5, 8, 12, generator=generator),
        text=torch.randn(size, text_length, text_width, generator=generator),
        ids=tuple(f"clip-{index}" for index in range(size)),
        bucket=Bucket(width=96, height=64, frames=17),
    )
