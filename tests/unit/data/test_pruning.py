"""Buckets that cannot fill a micro-batch are left out, where the run is told to, and every clip says why."""

from __future__ import annotations

from pathlib import Path

from helpers.clips import clip_info, whole_picture
from reeltune.contracts.clip import FileRef, ManifestRow, Sample
from reeltune.data.pruning import without_small_buckets


def row(name: str, width: int, *, dataset: str = "a") -> ManifestRow:
    placement = whole_picture([0, 1, 2, 3, 4], width=width, height=64)
    file = FileRef(Path(f"{name}.mp4"), 1, 1)
    return ManifestRow(file.path, Sample(dataset, file, clip_info(5, 16.0), placement, ("a",)), dataset_id=dataset)


LEFT_OUT = ManifestRow(Path("z.mp4"), None, "too short: 3 frames", "a")
ROWS = [row("one", 96), row("two", 96), row("three", 96), row("four", 128), row("five", 128), row("six", 160), LEFT_OUT]


def kept(batch_size: int, times: int = 1) -> list[str]:
    rows = without_small_buckets(ROWS, batch_size=batch_size, times={"a": times})
    assert [one.path for one in rows] == [one.path for one in ROWS], "every file keeps its row, in its place"
    return [one.path.stem for one in rows if one.sample]


def test_a_bucket_stays_when_it_fills_one_micro_batch() -> None:
    assert kept(1) == ["one", "two", "three", "four", "five", "six"]
    assert kept(2) == ["one", "two", "three", "four", "five"]
    assert kept(3) == ["one", "two", "three"]
    assert kept(4) == []


def test_repeats_fill_it_too() -> None:
    assert kept(4, times=2) == ["one", "two", "three", "four", "five"]
    assert kept(6, times=3) == ["one", "two", "three", "four", "five"]
    assert kept(7, times=3) == ["one", "two", "three"]


def test_each_dataset_fills_its_own_for_a_batch_never_mixes_two() -> None:
    rows = [row("one", 96, dataset="a"), row("two", 96, dataset="b")]
    kept = without_small_buckets(rows, batch_size=3, times={"a": 2, "b": 3})
    assert [bool(one.sample) for one in kept] == [False, True]


def test_a_pruned_clip_says_why_and_what_would_admit_it() -> None:
    rows = without_small_buckets(ROWS, batch_size=2, times={"a": 1})
    assert rows[5].reason == (
        "bucket pruned: 160x64x5 has 1 samples an epoch in a, fewer than train_batch_size 2; "
        "disable_bucket_pruning=true trains it, as do more repeats"
    )
    assert rows[5].dataset_id == "a"
    assert rows[6] == LEFT_OUT, "another reason stands"
    assert rows[:5] == ROWS[:5]
