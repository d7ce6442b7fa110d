"""Datasets of the Hub, at a stand-in on this machine, and folders laid out like them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from helpers.datasets import dataset_in, names, reasons, write_files
from helpers.hub_server import COMMIT, REPOSITORY, HubServer, serve_hub, use_hub
from reeltune.contracts.source import Source
from reeltune.data.sources import open_source
from reeltune.data.sources.shards import Columns, clips_of
from reeltune.errors import DataError, UnreadableFile

DATA = bytes(range(256)) * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serve_hub({"a.mp4": DATA, "a.txt": b"a dog\n"}) as server:
        use_hub(monkeypatch, server, tmp_path / "hub")
        yield server


def source(place: Path, name: str = REPOSITORY, **options: Any) -> Source:
    known = {"type": "huggingface", "dataset_name": name, "caption_strategy": "huggingface"}
    return open_source(dataset_in(place, **(known | options)))


def folder(place: Path, files: Mapping[str, bytes], **options: Any) -> Source:
    return source(place, str(write_files(place / "set", files)), **options)


def shard(columns: Mapping[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), stream, **options)
    return stream.getvalue()


def held(*rows: tuple[str | None, bytes | None]) -> Any:
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.array([{"bytes": data, "path": name} for name, data in rows], type=kind)


def said(found: Any) -> dict[str, tuple[str, ...] | None]:
    return {entry.file.name: entry.captions for entry in found.entries}


def test_a_list_gives_the_captions_and_both_sides_are_accounted_for(tmp_path: Path) -> None:
    table = b"file_name,text\na.mp4,a dog\nsub/b.mp4,\ngone.mp4,nothing\n"
    files = {"train/metadata.csv": table, "train/a.mp4": b"a", "train/sub/b.mp4": b"b", "train/c.mp4": b"c"}
    found = folder(tmp_path, files).find()
    assert said(found) == {"train/a.mp4": ("a dog",), "train/sub/b.mp4": ()}
    kinds = {Path(place).name: reason.partition(":")[0] for place, reason in reasons(found).items()}
    assert kinds == {"c.mp4": "not in the table", "gone.mp4": "missing"}


def test_a_list_in_json_lines_is_read_and_its_column_can_be_named(tmp_path: Path) -> None:
    files = {"metadata.jsonl": b'{"file_name": "a.mp4", "long": "a dog runs", "text": "dog"}\n', "a.mp4": b"a"}
    assert said(folder(tmp_path, files).find()) == {"a.mp4": ("dog",)}
    assert said(folder(tmp_path, files, caption_column=("long", "text")).find()) == {"a.mp4": ("a dog runs", "dog")}
    with pytest.raises(DataError, match="no column words; set caption_column to one of: file_name, long, text"):
        folder(tmp_path, files, caption_column="words").find()


def test_a_table_of_paths_names_files_of_the_repository(tmp_path: Path) -> None:
    rows = shard({"video": ["clips/a.mp4", "../../outside.mp4"], "caption": ["a dog", "x"]})
    found = folder(tmp_path, {"data/train.parquet": rows, "clips/a.mp4": b"a"}).find()
    assert said(found) == {"clips/a.mp4": ("a dog",)}
    assert [reason.partition(":")[0] for reason in reasons(found).values()] == ["missing"]


@pytest.mark.parametrize(
    ("split", "expected"), [("train", ["a.mp4", "b.mp4"]), ("test", ["c.mp4"])], ids=["train", "test"]
)
def test_a_split_is_its_own_shards(tmp_path: Path, split: str, expected: list[str]) -> None:
    files = {
        "data/train-00000-of-00002.parquet": shard({"video": held(("a.mp4", b"a"))}),
        "data/train-00001-of-00002.parquet": shard({"video": held(("b.mp4", b"b"))}),
        "data/test-00000-of-00001.parquet": shard({"video": held(("c.mp4", b"c"))}),
        "example.mp4": b"on the page",
    }
    found = folder(tmp_path, files, split=split, caption_strategy="filename").find()
    assert names(found) == expected
    assert [Path(place).name for place in reasons(found)] == ["example.mp4"]
    with pytest.raises(DataError, match="has no split validation: there are test, train; set split"):
        folder(tmp_path, files, split="validation").find()


def test_folders_named_after_splits_are_splits_and_one_list_may_name_all(tmp_path: Path) -> None:
    table = b"file_name,text\ntrain/a.mp4,a dog\ntest/b.mp4,a cat\n"
    files = {"metadata.csv": table, "train/a.mp4": b"a", "test/b.mp4": b"b"}
    found = folder(tmp_path, files).find()
    assert (said(found), found.passed) == ({"train/a.mp4": ("a dog",)}, ())
    assert said(folder(tmp_path, files, split="test").find()) == {"test/b.mp4": ("a cat",)}


def test_rows_of_one_name_of_none_and_of_names_that_lead_out_keep_their_own_bytes(tmp_path: Path) -> None:
    rows = held(("a.mp4", b"1"), ("a.mp4", b"2"), (None, b"3"), ("../../x.mp4", b"4"), ("p.png", b"5"), ("e.mp4", None))
    made = folder(tmp_path, {"data.parquet": shard({"clip": rows})}, caption_strategy="filename")
    found = made.find()
    assert names(found) == ["a.mp4", "data.parquet#1/a.mp4", "2.mp4", "data.parquet#3/x.mp4", "e.mp4"]
    assert len(found.passed) == 1
    files = [entry.file for entry in found.entries]
    assert [made.fetch(file).read_bytes() for file in files[:4]] == [b"1", b"2", b"3", b"4"]
    assert all(made.fetch(file).resolve().is_relative_to(tmp_path / "cache/fetched") for file in files[:4])
    with pytest.raises(UnreadableFile, match="holds no bytes"):
        made.fetch(files[4])


def test_a_changed_shard_gives_its_new_bytes(tmp_path: Path) -> None:
    for data in (b"old", b"other"):
        made = folder(tmp_path, {"data.parquet": shard({"video": held(("a.mp4", data))})}, caption_strategy="filename")
        assert made.fetch(made.find().entries[0].file).read_bytes() == data


def test_pictures_are_found_by_their_column(tmp_path: Path) -> None:
    files = {"train.parquet": shard({"image": held((None, b"p")), "prompt": ["a dog"]})}
    assert said(folder(tmp_path, files, dataset_type="image").find()) == {"0.png": ("a dog",)}


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.parquet is damaged, or no parquet file"):
        folder(tmp_path, {"train.parquet": b"PAR1 and no more"}).find()


def test_only_the_rows_group_that_is_asked_for_is_taken_out(tmp_path: Path) -> None:
    rows = held(*((f"{number}.mp4", bytes([number]) * 500) for number in range(6)))
    made = folder(tmp_path, {"data.parquet": shard({"video": rows}, row_group_size=2)}, caption_strategy="filename")
    made.fetch(made.find().entries[2].file)
    there = {path.name for path in (tmp_path / "cache/fetched").rglob("*.mp4")}
    assert there == {"2.mp4", "3.mp4"}


def test_clips_are_taken_out_without_reading_their_row_group_at_once() -> None:
    class Counted(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.largest = max(self.largest, len(data))
            return data

    clips = [bytes([number]) * 3_000_000 for number in range(8)]
    rows = held(*((f"{number}.mp4", data) for number, data in enumerate(clips)))
    plain = {"use_dictionary": False, "compression": "none", "write_batch_size": 1}
    stream = Counted(shard({"video": rows}, **plain))
    columns = Columns("video", (), is_held=True, has_paths=True)
    assert list(clips_of(stream, columns, 0)) == clips
    assert stream.largest < 2 * len(clips[0])


def test_the_commit_is_pinned_and_a_warm_start_asks_for_it_alone(hub: HubServer, tmp_path: Path) -> None:
    made = source(tmp_path)
    found = made.find()
    (file,) = (entry.file for entry in found.entries)
    assert file.version.startswith(COMMIT)
    assert file.url == f"hf://datasets/{REPOSITORY}/a.mp4"
    assert made.fetch(file).read_bytes() == DATA
    hub.asked.clear()
    again = source(tmp_path)
    assert again.find() == found
    assert again.fetch(file).read_bytes() == DATA
    assert hub.asked == [f"GET /api/datasets/{REPOSITORY}"]
    pinned = source(tmp_path, revision=COMMIT)
    assert pinned.find() == found
    assert len(hub.asked) == 1


def test_without_the_hub_the_last_known_commit_is_used(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = source(tmp_path).find()
    made = source(tmp_path)
    made.fetch(found.entries[0].file)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = source(tmp_path)
    assert offline.find() == found
    assert offline.fetch(found.entries[0].file).read_bytes() == DATA
    assert f"its last known commit {COMMIT[:8]} is used" in caplog.text
    with pytest.raises(DataError, match=r"cannot be listed: .*check the connection, HF_HUB_OFFLINE and HF_ENDPOINT"):
        source(tmp_path, "someone/other").find()


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("RepoNotFound", "someone/clips is not on the hub (http://127.0.0.1:{port}), or needs a login (hf auth login)"),
        ("GatedRepo", "someone/clips needs permission: ask for it on its page, then run: hf auth login"),
        ("RevisionNotFound", "someone/clips has no such branch, tag or commit; check revision"),
        ("500", "someone/clips cannot be listed: the hub"),
    ],
)
def test_what_the_hub_refuses_says_what_to_type(hub: HubServer, tmp_path: Path, fails: str, words: str) -> None:
    hub.fails = fails
    with pytest.raises(DataError) as caught:
        source(tmp_path).find()
    assert words.format(port=hub.address.rpartition(":")[2]) in str(caught.value)


def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    made = source(tmp_path)
    file = made.find().entries[0].file
    made.fetch(file)
    assert hub.tokens == {"Bearer hf_abcdefghijklmnopqrstuvwxyz"}
    hub.files, hub.fails = {}, "500"
    made.fetch(file).unlink()
    with pytest.raises(UnreadableFile) as caught:
        made.fetch(file)
    assert "hf_abc" not in f"{caught.value} {file} {made!r}"
    assert "hf_abc" not in "".join(path.read_text() for path in (tmp_path / "cache").rglob("*.json"))


def test_a_download_that_breaks_off_is_overcome(hub: HubServer, tmp_path: Path) -> None:
    made = source(tmp_path)
    file = made.find().entries[0].file
    hub.breaks = 2
    assert made.fetch(file).read_bytes() == DATA
    assert hub.breaks == 0


def test_rows_that_break_off_are_read_again(hub: HubServer, tmp_path: Path) -> None:
    rows = held(*((f"{number}.mp4", bytes([number]) * 5000) for number in range(4)))
    hub.files = {"data/train-00000-of-00001.parquet": shard({"video": rows, "caption": list("abcd")})}
    made = source(tmp_path)
    hub.breaks = 1
    found = made.find()
    assert [entry.captions for entry in found.entries] == [("a",), ("b",), ("c",), ("d",)]
    hub.breaks = 1
    assert made.fetch(found.entries[3].file).read_bytes() == b"\3" * 5000
