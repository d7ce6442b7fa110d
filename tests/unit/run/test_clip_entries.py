"""Where the encodings of samples lie: what was read of the files is written down, whatever happens meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.light import sample_of, write_clips
from reeltune.cache.contents import ContentFingerprints
from reeltune.cache.store import TensorStore
from reeltune.config.datasets import EvalDataset, VideoDataset, VideoOptions
from reeltune.contracts.clip import FileRef
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.placement import Rules
from reeltune.randomness import Draws
from reeltune.run.clip_entries import ClipCache, entries_of


def test_ctrl_c_writes_down_what_was_read_when_nobody_reads_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = write_clips(tmp_path, 1)
    whole = sample_of(first.file.path)
    samples = [replace(whole, file=replace(whole.file, name=str(n), url=f"s3://b/{n}")) for n in range(40)]
    readers: list[list[str]] = []
    save = ContentFingerprints.save

    def watched(memory: ContentFingerprints) -> None:
        readers.append([thread.name for thread in threading.enumerate() if thread.name.startswith("contents")])
        save(memory)

    def fetch(file: FileRef) -> Path:
        time.sleep(0.02)
        fetched.append(file)
        return file.path

    def interrupted(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
        for item in items:
            yield item
            raise KeyboardInterrupt

    fetched: list[FileRef] = []
    monkeypatch.setattr(ContentFingerprints, "save", watched)
    video = VideoOptions(num_frames=5)
    dataset = VideoDataset(id=whole.dataset_id, instance_data_dir="clips", cache_dir_vae="cache", video=video)
    geometry = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))
    rules = Rules(video=video, sizing=Sizing(96.0, "pixel"), geometry=geometry, model_fps=16.0, minimum_image_size=0.0)
    cache = ClipCache(dataset, TensorStore(tmp_path / "cache"), fetch, 1, rules, Draws(1), on_demand=False)
    with pytest.raises(KeyboardInterrupt):
        entries_of(samples, {whole.dataset_id: cache}, encoder="e", track=interrupted)
    assert readers == [[]]
    assert 0 < len(fetched) < 40, "what was not begun is not read"
    again = ContentFingerprints(tmp_path / "cache/contents.json")
    assert all(again.of(file, lambda _: pytest.fail("it is known")) for file in fetched)


@pytest.mark.parametrize(("kind", "offset"), [(VideoDataset, 0.5), (EvalDataset, 0.0)])
def test_what_is_trained_has_the_offset_of_its_dataset(
    tmp_path: Path, kind: type[VideoDataset | EvalDataset], offset: float
) -> None:
    keys: dict[str, Any] = {"timestep_sampling_offset": 0.5} if kind is VideoDataset else {}
    dataset = kind(id="a", instance_data_dir="clips", cache_dir_vae="cache", **keys)
    geometry = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))
    sizing = Sizing(96.0, "pixel")
    rules = Rules(video=dataset.video, sizing=sizing, geometry=geometry, model_fps=16.0, minimum_image_size=0.0)
    cache = ClipCache(dataset, TensorStore(tmp_path), lambda file: file.path, 1, rules, Draws(1), on_demand=False)
    assert cache.sigma_offset == offset
