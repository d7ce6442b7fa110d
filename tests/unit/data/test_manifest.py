"""What is said of the files: counts, shapes, rates, and every reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.clips import clip_info
from helpers.rows import RULES, left_out, used, windows
from reeltune.contracts.clip import ManifestRow
from reeltune.data.manifest import files_of, left_out_by_kind, rate_notes, require_usable, summary, used_files
from reeltune.errors import DataError


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
    assert rate_notes(rows, RULES) == [
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


def test_windows_are_counted_apart_from_files() -> None:
    rows = [*windows("a.mp4", 3), used("b.mp4"), left_out("c.mp4")]
    assert summary(rows)[:2] == [
        "3 clips: 2 used as 4 windows in 1 bucket, 1 left out",
        "  640x352x73: 4 windows",
    ]
    assert rate_notes(rows, RULES) == ["4 windows: 24.0 -> 16.0 fps: 73 frames = 4.56 s of source"]
    assert (len(files_of(rows)), used_files(rows)) == (3, 2)


def test_each_dataset_has_its_own_lines_where_there_are_several() -> None:
    rows = [used("a.mp4"), left_out("b.mp4"), used("a.mp4", dataset="other"), used("c.mp4", dataset="other")]
    assert summary(rows) == [
        "clips: 2 clips: 1 used in 1 bucket, 1 left out",
        "  640x352x73: 1 clip",
        "  left out b.mp4: too short: 3 frames",
        "other: 2 clips: 2 used in 1 bucket, 0 left out",
        "  640x352x73: 2 clips",
    ]


def test_a_picture_has_no_rate() -> None:
    row = used("a.png")
    assert row.sample
    picture = replace(row, sample=replace(row.sample, info=clip_info(1, 25)))
    assert rate_notes([picture], RULES) == ["1 clip: a picture, trained as one frame"]


def test_a_file_is_named_by_where_it_comes_from() -> None:
    row = ManifestRow(Path("mirror/a.mp4"), None, "too short: 3 frames", "clips", "s3://bucket/a.mp4")
    assert summary([row])[-1] == "  left out s3://bucket/a.mp4: too short: 3 frames"


def test_reasons_are_grouped_by_their_kind() -> None:
    rows = [left_out("a", "x: one"), left_out("b", "y: two; do: this"), left_out("c", "y: three"), used("d.mp4")]
    assert {kind: [row.why for row in group] for kind, group in left_out_by_kind(rows).items()} == {
        "y": ["two; do: this", "three"],
        "x": ["one"],
    }
    assert list(left_out_by_kind(rows)) == ["y", "x"]
