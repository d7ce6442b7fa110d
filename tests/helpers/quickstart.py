"""The quickstart's two files in a working folder, with clips and a model small enough to put a run together from."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reeltune.cli.source import find_datasets
from reeltune.config.load import Loaded, load_run
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest
from reeltune.contracts.family import RenderRequest
from reeltune.families.wan.family import Wan, open_model
from reeltune.media import write_mp4
from reeltune.run.assemble import assemble
from reeltune.run.launch import opening_of
from reeltune.run.manifest import make_manifest
from reeltune.run.means import Means, find_means
from reeltune.run.plan import Plan, make_plan
from reeltune.run.prepare import Prepared, fill_caches
from reeltune.train.audience import Audience
from reeltune.train.loop import Loop

FILES = Path(__file__).parents[1] / "data/quickstart"
CPU = torch.device("cpu")

GIVEN: Mapping[str, Any] = json.loads((FILES / "config.json").read_text(encoding="utf-8"))
"""The quickstart's configuration."""

SMALL_CLIPS = {
    "resolution": 96,
    "minimum_image_size": 64,
    "video": {"num_frames": 17, "min_frames": 17},
}
"""What is different in the dataset file: nothing else."""

WEBHOOK = "https://example.invalid/quickstart"


def track(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
    yield from items


@dataclass(frozen=True)
class Run:
    """A run that is put together as far as it is looked at."""

    loaded: Loaded

    @property
    def config(self) -> Config:
        return self.loaded.config

    @cached_property
    def family(self) -> Wan:
        return open_model(self.config.model, opening_of(self.config))

    @cached_property
    def manifest(self) -> Manifest:
        return make_manifest(self.config, self.loaded.datasets, self.family.facts, track)

    @cached_property
    def plan(self) -> Plan:
        return make_plan(self.config, self.loaded.datasets, self.manifest.trained, self.family.facts)

    @cached_property
    def prepared(self) -> Prepared:
        return fill_caches(
            self.config, self.loaded.datasets, self.manifest, family=self.family, device=CPU, track=track
        )

    @cached_property
    def loop(self) -> Loop:
        return assemble(
            self.config,
            self.loaded.datasets,
            plan=self.plan,
            family=self.family,
            prepared=self.prepared,
            device=CPU,
            audience=Audience([]),
            stop_requested=lambda: False,
        )

    @property
    def request(self) -> RenderRequest:
        """Return what is asked for the last video: the one of validation_prompt."""
        assert self.loop.renders
        return self.loop.renders.requests[-1].request

    @cached_property
    def means(self) -> Means:
        return find_means(self.config)


@dataclass(frozen=True)
class Quickstart:
    """A working folder, which must be the current one. model: the tiny model's folder."""

    place: Path
    model: Path
    _runs: dict[str, Run] = field(default_factory=dict)

    def load(self, options: Mapping[str, Any], clips: Mapping[str, Any]) -> Loaded:
        """Load the files with options changed, and keys of the dataset of clips; None takes such a key out."""
        small = {"pretrained_model_name_or_path": str(self.model), "pretrained_t5_model_name_or_path": str(self.model)}
        self._write_datasets(clips, held_out="eval_steps_interval" in options)
        configuration = self.place / "config.json"
        configuration.write_text(json.dumps(dict(GIVEN) | small | dict(options)), encoding="utf-8")
        return load_run([configuration], {}, find_datasets=find_datasets)

    def run(self, options: Mapping[str, Any], clips: Mapping[str, Any]) -> Run:
        """Return the run with these changes; equal changes give the same one, which nobody may alter."""
        key = json.dumps([options, clips], sort_keys=True)
        if key not in self._runs:
            self._runs[key] = Run(self.load(options, clips))
        return self._runs[key]

    def _write_datasets(self, changes: Mapping[str, Any], *, held_out: bool) -> None:
        clips, text = json.loads((FILES / "multidatabackend.json").read_text(encoding="utf-8"))
        clips = {key: value for key, value in {**clips, **SMALL_CLIPS, **changes}.items() if value is not None}
        measured = clips | {"id": "held-out", "dataset_type": "eval", "cache_dir_vae": "cache/vae/held-out"}
        _write(self.place / GIVEN["data_backend_config"], [clips, text, *([measured] if held_out else [])])
        _write(self.place / "config/other.json", [clips | {"id": "others"}, text])


@contextlib.contextmanager
def quickstart_in(place: Path, model: Path) -> Iterator[Quickstart]:
    """Lay out a working folder and stay in it for as long as the block lasts."""
    clips = place / "datasets/disney-black-and-white"
    _write_clip(clips / "duck.mp4", width=192, height=108)
    _write_clip(clips / "mouse.mp4", width=192, height=108)
    _write_clip(clips / "square.mp4", width=128, height=128)
    shutil.copytree(clips, place / "datasets/damaged")
    (place / "datasets/damaged/square.mp4").write_bytes(b"no video" * 40)
    shutil.copytree(model, place / "models/tiny")
    shutil.copytree(model, place / "models/other")
    shutil.copytree(model / "transformer", place / "models/other/finetuned")
    shutil.copytree(model / "transformer", place / "models/other", dirs_exist_ok=True)
    _write(place / GIVEN["webhook_config"], {"webhook_type": "raw", "callback_url": WEBHOOK})
    _write(place / "config/user_prompt_library.json", {"chef": "a cook"})
    with contextlib.chdir(place):
        yield Quickstart(place, Path("models/tiny"))


def _write_clip(path: Path, *, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.linspace(40, 200, 20).astype(np.uint8)
    write_mp4(path, np.broadcast_to(levels[:, None, None, None], (20, height, width, 3)), fps=16.0)
    path.with_suffix(".txt").write_text(f"a cartoon, the {path.stem} one", encoding="utf-8")


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
