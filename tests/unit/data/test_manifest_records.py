"""Files and programs are told the same of every row, in the same words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pyarrow import parquet

from helpers.clips import clip_info
from helpers.rows import left_out, used, windows
from reeltune.config.datasets import EvalDataset, VideoDataset
from reeltune.contracts.clip import ManifestRow
from reeltune.data.manifest_records import manifest_records, write_manifest, write_manifest_table

CLIPS = VideoDataset(id="clips", instance_data_dir="d", repeats=2, probability=0.5)
HELD_OUT = EvalDataset(id="held-out", instance_data_dir="e")


def test_a_used_file_is_told_with_all_that_becomes_of_it() -> None:
    (record,) = manifest_records([used("a.mp4", width=608)], [CLIPS])
    assert record == {
        "dataset": "clips",
        "origin": "a.mp4",
        "path": "a.mp4",
        "used": True,
        "held_out": False,
        "reason": "",
        "bucket": "608x352x73",
        "window": 0,
        "windows": 1,
        "frames": {"first": 0, "last": 108, "count": 73},
        # The last frame that is trained is shown until the next one begins.
        "seconds": {"from": 0.0, "to": round(109 / 24, 3)},
        "source": {"width": 1280, "height": 720, "frames": 200, "fps": 24.0, "seconds": round(200 / 24, 3)},
        "resize": {"width": 626, "height": 352},
        "crop": {"left": 9, "top": 0, "width": 608, "height": 352},
        "crop_in_source": {
            "left": round(9 * 1280 / 626, 1),
            "top": 0.0,
            "width": round(608 * 1280 / 626, 1),
            "height": 720.0,
        },
        "captions": ["ein Käfer"],
        "mask": None,
        "repeats": 2,
        "probability": 0.5,
    }


def test_every_row_has_the_same_keys() -> None:
    rows = [*windows("a.mp4", 2), left_out("b.mp4"), used("c.mp4", dataset="held-out")]
    records = manifest_records(rows, [CLIPS, HELD_OUT])
    assert len({tuple(record) for record in records}) == 1
    assert [(record["window"], record["windows"]) for record in records] == [(0, 2), (1, 2), (None, None), (0, 1)]
    assert [record["repeats"] for record in records] == [2, 2, 2, None]
    assert (records[2]["used"], records[2]["reason"], records[2]["crop"]) == (False, "too short: 3 frames", None)


def test_the_last_frame_of_a_clip_is_shown_until_its_end() -> None:
    row = used("a.mp4")
    assert row.sample
    whole = replace(row.sample.placement, frame_indices=(10, 199))
    assert replace(row.sample, placement=whole).span_s == (10 / 24, clip_info(200, 24).end_s)


def test_a_fetched_file_is_told_with_where_it_comes_from_and_where_it_is() -> None:
    row = ManifestRow(Path("mirror/a.mp4"), None, "too short: 3 frames", "clips", "s3://bucket/a.mp4")
    (record,) = manifest_records([row], [CLIPS])
    assert (record["origin"], record["path"]) == ("s3://bucket/a.mp4", "mirror/a.mp4")


def test_lines_and_table_hold_the_records(tmp_path: Path) -> None:
    rows = [*windows("a.mp4", 2), left_out("b.mp4")]
    records = manifest_records(rows, [CLIPS])
    lines, table = tmp_path / "run/manifest.jsonl", tmp_path / "m.parquet"
    write_manifest(rows, lines, datasets=[CLIPS])
    write_manifest_table(rows, table, datasets=[CLIPS])
    assert [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()] == records
    assert parquet.read_table(table).to_pylist() == records
    assert [path.name for path in lines.parent.iterdir()] == ["manifest.jsonl"]


def test_a_table_of_files_that_are_all_left_out_has_its_columns(tmp_path: Path) -> None:
    write_manifest_table([left_out("b.mp4")], tmp_path / "m.parquet", datasets=[CLIPS])
    table = parquet.read_table(tmp_path / "m.parquet")
    assert str(table.schema.field("crop").type).startswith("struct<left: int64")
    assert table.num_rows == 1


def test_a_file_name_that_is_not_utf8_can_be_listed_and_read_back(tmp_path: Path) -> None:
    rows = [left_out("a\udcff.mp4")]
    write_manifest(rows, tmp_path / "m.jsonl", datasets=[CLIPS])
    write_manifest_table(rows, tmp_path / "m.parquet", datasets=[CLIPS])
    assert json.loads((tmp_path / "m.jsonl").read_text(encoding="utf-8"))["path"] == "a\udcff.mp4"
    assert parquet.read_table(tmp_path / "m.parquet")["path"].to_pylist() == ["a\\udcff.mp4"]
