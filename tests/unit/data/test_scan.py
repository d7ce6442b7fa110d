"""n files in, n accounted for: used, or left out with the reason and what would admit it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.clips import indexed_frames
from helpers.sources import Handed, folder_source
from reeltune.config.datasets import VideoDataset, VideoOptions
from reeltune.contracts.clip import ClipInfo, FileRef, ManifestRow
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.source import Passed, Source
from reeltune.data.buckets import Sizing
from reeltune.data.caption_filters import read_filters
from reeltune.data.inspectors import HungOrCrashed
from reeltune.data.placement import Rules
from reeltune.data.probe import probe
from reeltune.data.quarantine import Quarantine
from reeltune.data.scan import scan
from reeltune.errors import DataError, UnreadableFile
from reeltune.media import write_mp4
from reeltune.randomness import Draws


def silently(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
    listed = list(items)
    assert (len(listed), unit) == (total, "clips")
    yield from listed


def rows_of(
    folder: Path,
    source: Source | None = None,
    *,
    minimum: float = 0.0,
    video: VideoOptions | None = None,
    filters: tuple[str, ...] = (),
    **options: Any,
) -> list[ManifestRow]:
    video = video or VideoOptions(num_frames=19)
    cache = str(folder.parent / "cache")
    dataset = VideoDataset(id="clips", instance_data_dir=str(folder), cache_dir_vae=cache, video=video, **options)
    rules = Rules(
        video=video,
        sizing=Sizing(96.0, "pixel"),
        geometry=LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2)),
        model_fps=16.0,
        minimum_image_size=minimum,
    )
    return list(
        scan(
            dataset,
            source or folder_source(folder),
            rules=rules,
            draws=Draws(7),
            filters=read_filters(filters),
            track=silently,
        )
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


def add_clip(folder: Path, name: str, *, frames: int = 20, height: int = 96, caption: str | None = "a clip") -> None:
    write_mp4(folder / f"{name}.mp4", indexed_frames(frames, height=height), fps=16.0)
    if caption is not None:
        (folder / f"{name}.txt").write_text(caption)


def test_every_file_ends_as_one_row_with_its_reason(folder: Path) -> None:
    for index in range(9):
        add_clip(folder, f"good{index}", caption="one\ntwo")
    add_clip(folder, "long", frames=40)
    add_clip(folder, "short", frames=15)
    add_clip(folder, "small", height=64)
    add_clip(folder, "wordless", caption="\n")
    for name in ("text", "void"):
        (folder / f"{name}.mp4").write_text("" if name == "void" else "not a video" * 30)
        (folder / f"{name}.txt").write_text("caption")
    rows = rows_of(folder, minimum=80.0, video=VideoOptions(num_frames=19, max_frames=30))
    assert [row.path.name for row in rows] == sorted(path.name for path in folder.glob("*.mp4"))
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
        str(folder / "good0.mp4"),
    )


def test_each_window_has_a_row(folder: Path) -> None:
    add_clip(folder, "long", frames=40)
    add_clip(folder, "once", frames=17)
    rows = rows_of(folder, video=VideoOptions(num_frames=17, frame_selection="slide"))
    found = [(row.path.stem, row.sample.window, row.sample.windows) for row in rows if row.sample]
    assert found == [("long", 0, 2), ("long", 1, 2), ("once", 0, 1)]
    starts = [row.sample.placement.frame_indices[0] for row in rows if row.sample]
    assert starts == [0, 17, 0]


def test_what_the_source_passes_over_follows_in_its_order(folder: Path) -> None:
    add_clip(folder, "a")
    listed = folder_source(folder)
    passed = (Passed(Path("z.gif"), "not read: why"), Passed(Path("p"), "missing: why", url="https://host/p.mp4"))
    rows = rows_of(folder, replace(listed, passed=passed))
    assert [(row.origin, row.reason, row.dataset_id) for row in rows] == [
        (str(folder / "a.mp4"), "", "clips"),
        ("z.gif", "not read: why", "clips"),
        ("https://host/p.mp4", "missing: why", "clips"),
    ]


def test_a_file_that_is_gone_when_it_is_read_is_a_row(folder: Path) -> None:
    for name in "abc":
        add_clip(folder, name)
    rows = rows_of(folder, replace(folder_source(folder), gone=frozenset({"b.mp4"})))
    assert [row.reason for row in rows] == ["", "unreadable: it is gone", ""]


def test_a_file_that_is_deleted_after_it_was_listed_is_a_row(folder: Path) -> None:
    for name in "ab":
        add_clip(folder, name)
    listed = folder_source(folder)
    (folder / "a.mp4").unlink()
    rows = rows_of(folder, listed)
    assert [(row.path.stem, row.sample is not None) for row in rows] == [("a", False), ("b", True)]
    assert rows[0].reason.startswith("unreadable: ")


def test_a_file_in_quarantine_is_not_opened_until_it_changes(folder: Path) -> None:
    for name in "ab":
        add_clip(folder, name)
    quarantine = Quarantine(folder.parent / "cache")
    quarantine.add(folder_source(folder).entries[0].file, "damaged after frame 3; export it again")
    quarantine.save()
    rows = rows_of(folder, replace(folder_source(folder), gone=frozenset({"a.mp4"})))
    assert rows[0].reason.startswith("unreadable: damaged after frame 3; export it again")
    assert "data quarantine --clear" in rows[0].reason
    assert rows[1].sample is not None
    add_clip(folder, "a", frames=24)
    assert [row.sample is not None for row in rows_of(folder)] == [True, True]


def test_a_file_that_hung_or_crashed_a_decoder_is_not_tried_at_every_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        add_clip(folder, name)
    looked_at: list[str] = []

    def look(files: Sequence[FileRef], **_: Any) -> Iterator[ClipInfo | UnreadableFile]:
        for file in files:
            looked_at.append(file.name)
            kind = {"a.mp4": HungOrCrashed, "b.mp4": UnreadableFile}.get(file.name)
            yield kind(file.path, "takes longer") if kind else probe(file.path)

    monkeypatch.setattr("reeltune.data.scan.inspect", look)
    assert [row.reason for row in rows_of(folder)] == ["unreadable: takes longer", "unreadable: takes longer", ""]
    looked_at.clear()
    rows = rows_of(folder)
    assert looked_at == ["b.mp4", "c.mp4"]
    assert re.fullmatch(r"unreadable: takes longer \(found \d{4}-.*\+00:00; .*--clear.*\)", rows[0].reason)
    add_clip(folder, "a", frames=24)
    looked_at.clear()
    rows_of(folder)
    assert looked_at == ["a.mp4", "b.mp4", "c.mp4"], "it is another file now"


def test_filters_change_what_is_trained(folder: Path) -> None:
    add_clip(folder, "a", caption="a video of a cat")
    (row,) = rows_of(folder, filters=("a video of ",))
    assert row.sample
    assert row.sample.captions == ("a cat",)


def test_the_dataset_folder_is_left_as_it_was(folder: Path) -> None:
    add_clip(folder, "a")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    rows_of(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_second_look_gives_the_same_rows(folder: Path) -> None:
    for name in "abc":
        add_clip(folder, name, frames=40)
    video = VideoOptions(num_frames=9, frame_selection="random", windows=2)
    first = rows_of(folder, video=video)
    assert len(first) == 6
    assert rows_of(folder, video=video) == first


def test_more_than_a_tenth_without_captions_is_an_error_that_names_five(folder: Path) -> None:
    for index in range(10):
        add_clip(folder, f"c{index}", caption="words" if index < 3 else None)
    (folder / "c9.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="clips: 7 of 10 clips have no caption.*allow_missing_captions") as caught:
        rows_of(folder)
    assert [name in str(caught.value) for name in ("c3.txt", "c7.txt", "c8.txt")] == [True, True, False]
    assert "and 2 more; `reeltune data captions --all` names them" in str(caught.value)
    rows = rows_of(folder, allow_missing_captions=True)
    assert [row.sample is not None for row in rows] == [True] * 3 + [False] * 7
    assert "c9.txt is not UTF-8" in rows[9].reason


def test_exactly_a_tenth_without_captions_is_allowed(folder: Path) -> None:
    for index in range(10):
        add_clip(folder, f"c{index}", caption="words" if index else None)
    assert Counter(row.sample is None for row in rows_of(folder)) == {False: 9, True: 1}


def test_one_caption_for_all_that_is_not_set_is_said_once(folder: Path) -> None:
    add_clip(folder, "a")
    add_clip(folder, "b")
    with pytest.raises(DataError) as caught:
        rows_of(folder, caption_strategy="instanceprompt")
    assert str(caught.value).count("set instance_prompt") == 1


def test_a_dataset_without_a_usable_file_names_what_is_there(folder: Path) -> None:
    passed = tuple(Passed(folder / f"{index}.ts", "not read: convert it") for index in range(7))
    with pytest.raises(DataError, match=r"dataset clips: nothing in .* can be used, 7 files are left out") as caught:
        rows_of(folder, Handed(passed=passed))
    assert "4.ts: not read: convert it\n  ... and 2 more" in str(caught.value)


def test_scanning_needs_no_torch() -> None:
    modules = "reeltune.data.scan, reeltune.data.manifest, reeltune.data.manifest_records, reeltune.run.manifest"
    code = f"import {modules}, sys; print({{'torch', 'pyarrow', 'fsspec'}} & sys.modules.keys())"
    outcome = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert outcome.stdout.strip() == "set()"
