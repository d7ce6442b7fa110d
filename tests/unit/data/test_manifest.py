from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.clips import clip_info
from reeltune.config.datasets import VideoOptions
from reeltune.contracts.clip import Bucket, FileRef, ManifestRow, Placement, Sample
from reeltune.data.frames import first_window, training_rate
from reeltune.data.manifest import rate_notes, require_usable, summary, write_manifest
from reeltune.errors import DataError


def used(name: str, *, width: int = 640, height: int = 352, fps: float = 24) -> ManifestRow:
    info = clip_info(200, fps)
    rate = training_rate(info, setting="model", model_fps=16.0)
    indices = first_window(info, rate, num_frames=73)
    placement = Placement(Bucket(width, height, 73), indices, width, height, crop_left=0, crop_top=0)
    sample = Sample("clips", FileRef(Path(name), 1, 1), info, placement, captions=("ein Käfer",))
    return ManifestRow(Path(name), sample)


def left_out(name: str, reason: str = "too short: 3 frames") -> ManifestRow:
    return ManifestRow(Path(name), sample=None, reason=reason)


def test_summary_counts_buckets_and_names_what_was_left_out():
    rows = [used("a.mp4"), used("b.mp4", width=352, height=640), used("c.mp4"), left_out("d.mp4")]
    assert summary(rows) == [
        "4 clips: 3 used in 2 buckets, 1 left out",
        "  352x640x73: 1 clip",
        "  640x352x73: 2 clips",
        "  left out d.mp4: too short: 3 frames",
    ]


def test_summary_names_twenty_and_counts_the_rest():
    lines = summary([used("a.mp4"), *(left_out(f"{index}.mp4") for index in range(25))])
    assert lines[0] == "26 clips: 1 used in 1 bucket, 25 left out"
    assert sum("left out" in line for line in lines[1:]) == 21
    assert lines[-1] == "  ... and 5 more left out"


def test_rate_notes_say_how_much_of_the_source_a_sample_spans():
    rows = [used("a.mp4"), used("b.mp4"), used("c.mp4", fps=15), left_out("d.mp4")]
    assert rate_notes(rows, VideoOptions(), model_fps=16.0) == [
        "2 clips: 24.0 -> 16.0 fps: 73 frames = 4.56 s of source",
        "1 clip: 15.0 fps taken one to one as 16.0 (1.07 times as fast): 73 frames = 4.87 s of source",
    ]


def test_no_usable_clip_is_an_error_with_a_table_of_reasons():
    rows = [*(left_out(f"s{index}.mp4") for index in range(11)), left_out("x.mp4", "no caption: write one")]
    with pytest.raises(DataError, match="all 12 were left out") as caught:
        require_usable(rows)
    text = str(caught.value)
    assert "11  too short" in text
    assert "1  no caption" in text
    assert text.count("left out s") == 10
    assert "and 2 more" in text
    require_usable([*rows, used("a.mp4")])


def test_manifest_has_one_object_per_file_with_the_same_keys(tmp_path: Path):
    rows = [used("a.mp4"), left_out("d.mp4")]
    path = tmp_path / "run" / "manifest.jsonl"
    write_manifest(rows, path)
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert list(first) == list(second) == ["path", "used", "reason", "bucket", "frames", "source", "captions"]
    assert first == {
        "path": "a.mp4",
        "used": True,
        "reason": "",
        "bucket": "640x352x73",
        "frames": {"first": 0, "last": 108, "count": 73},
        "source": {"width": 1280, "height": 720, "frames": 200, "fps": 24.0},
        "captions": ["ein Käfer"],
    }
    assert (second["used"], second["reason"], second["bucket"]) == (False, "too short: 3 frames", None)
    assert [path.name for path in path.parent.iterdir()] == ["manifest.jsonl"]


def test_a_file_name_that_is_not_utf8_can_be_listed_and_read_back(tmp_path: Path):
    write_manifest([left_out("a\udcff.mp4")], tmp_path / "m.jsonl")
    assert json.loads((tmp_path / "m.jsonl").read_text(encoding="utf-8"))["path"] == "a\udcff.mp4"
