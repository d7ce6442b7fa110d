from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from helpers.clips import indexed_frames
from reeltune.config.datasets import VideoDataset, VideoOptions
from reeltune.contracts.clip import ManifestRow
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.scan import scan
from reeltune.errors import DataError
from reeltune.media import write_mp4


def silently(items: Iterable[Any], title: str, *, total: int, unit: str) -> Iterable[Any]:
    listed = list(items)
    assert (len(listed), unit) == (total, "clips")
    return listed


def rows_of(folder: Path, *, minimum: float = 0.0, max_frames: int | None = None, **options: Any) -> list[ManifestRow]:
    video = VideoOptions(num_frames=19, max_frames=max_frames)
    dataset = VideoDataset(id="clips", instance_data_dir=str(folder), cache_dir_vae="cache", video=video, **options)
    geometry = LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2))
    sizing = Sizing(96.0, "pixel")
    rows = scan(dataset, sizing=sizing, minimum_image_size=minimum, geometry=geometry, model_fps=16.0, track=silently)
    return list(rows)


def add_clip(folder: Path, name: str, *, frames: int = 20, height: int = 96, caption: str | None = "a clip") -> None:
    write_mp4(folder / f"{name}.mp4", indexed_frames(frames, height=height), fps=16.0)
    if caption is not None:
        (folder / f"{name}.txt").write_text(caption)


def test_every_file_ends_as_one_row_with_its_reason(tmp_path: Path):
    for index in range(9):
        add_clip(tmp_path, f"good{index}", caption="one\ntwo")
    add_clip(tmp_path, "long", frames=40)
    add_clip(tmp_path, "short", frames=15)
    add_clip(tmp_path, "small", height=64)
    add_clip(tmp_path, "wordless", caption="\n")
    for name in ("text", "void"):
        (tmp_path / f"{name}.mp4").write_text("" if name == "void" else "not a video" * 30)
        (tmp_path / f"{name}.txt").write_text("caption")
    rows = rows_of(tmp_path, minimum=80.0, max_frames=30)
    assert [row.path.name for row in rows] == sorted(path.name for path in tmp_path.glob("*.mp4"))
    reasons = {row.path.stem: row.reason for row in rows if row.sample is None}
    assert {stem: reason.partition(":")[0] for stem, reason in reasons.items()} == {
        "long": "too long",
        "short": "too short",
        "small": "too small",
        "wordless": "no caption",
        "text": "unreadable",
        "void": "unreadable",
    }
    assert "lower video.num_frames (or set video.min_frames) to 13" in reasons["short"]
    assert "wordless.txt" in reasons["wordless"]
    assert "empty file" in reasons["void"]
    sample = rows[0].sample
    assert sample is not None
    assert (sample.captions, str(sample.placement.bucket), sample.id) == (
        ("one", "two"),
        "160x96x17",
        str(tmp_path / "good0.mp4"),
    )


def test_the_dataset_folder_is_left_as_it_was(tmp_path: Path):
    add_clip(tmp_path, "a")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    rows_of(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_more_than_a_tenth_without_captions_is_an_error_that_names_five(tmp_path: Path):
    for index in range(10):
        add_clip(tmp_path, f"c{index}", caption="words" if index < 3 else None)
    (tmp_path / "c9.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="clips: 7 of 10 clips have no caption.*allow_missing_captions") as caught:
        rows_of(tmp_path)
    assert [name in str(caught.value) for name in ("c3.txt", "c7.txt", "c8.txt")] == [True, True, False]
    assert "and 2 more" in str(caught.value)
    rows = rows_of(tmp_path, allow_missing_captions=True)
    assert [row.sample is not None for row in rows] == [True] * 3 + [False] * 7
    assert "c9.txt is not UTF-8" in rows[9].reason


def test_exactly_a_tenth_without_captions_is_allowed(tmp_path: Path):
    for index in range(10):
        add_clip(tmp_path, f"c{index}", caption="words" if index else None)
    assert sum(row.sample is None for row in rows_of(tmp_path)) == 1


def test_one_caption_for_all_that_is_not_set_is_said_once(tmp_path: Path):
    add_clip(tmp_path, "a")
    add_clip(tmp_path, "b")
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, caption_strategy="instanceprompt")
    assert str(caught.value).count("set instance_prompt") == 1


def test_scanning_needs_no_torch():
    code = "import reeltune.data.scan, reeltune.data.manifest, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_media_that_is_not_read_has_a_row_that_says_so(tmp_path: Path):
    add_clip(tmp_path, "a")
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    rows = rows_of(tmp_path)
    assert [(row.path.name, row.sample is not None) for row in rows] == [("a.mp4", True), ("b.gif", False)]
    assert rows[1].reason.startswith("not read: .gif is none of .mp4 ")
