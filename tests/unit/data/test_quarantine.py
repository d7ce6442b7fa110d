"""A file that broke is remembered until it changes, in a list that processes share and that is only ever a list."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from reeltune.contracts.clip import FileRef
from reeltune.data.quarantine import FILE_NAME, BrokenFile, Quarantine

FILE = FileRef(Path("/data/sub/a.mp4"), 10, 20, name="sub/a.mp4")
FAR = FileRef(Path("/cache/b.mp4"), 10, 20, url="s3://bucket/b.mp4", version="etag-1", name="s3://bucket/b.mp4")


def clock() -> float:
    return 1_700_000_000.0


def listing(folder: Path, *files: FileRef) -> None:
    quarantine = Quarantine(folder, clock=clock)
    for file in files:
        quarantine.add(file, "damaged after frame 3")
    quarantine.save()


def test_a_file_is_remembered_with_when_and_why(tmp_path: Path) -> None:
    listing(tmp_path / "cache", FILE, FAR)
    again = Quarantine(tmp_path / "cache")
    why, when = "damaged after frame 3", "2023-11-14T22:13:20+00:00"
    assert again.listed(FILE) == BrokenFile("sub/a.mp4", "/data/sub/a.mp4", "10 20", why, when)
    assert again.listed(FAR) == BrokenFile("s3://bucket/b.mp4", "s3://bucket/b.mp4", "etag-1", why, when)


@pytest.mark.parametrize(
    "changed",
    [replace(FILE, size_bytes=11), replace(FILE, mtime_ns=21), replace(FAR, version="etag-2"), replace(FILE, name="c")],
)
def test_a_file_that_has_changed_is_another_one(tmp_path: Path, changed: FileRef) -> None:
    listing(tmp_path, FILE, FAR)
    assert Quarantine(tmp_path).listed(changed) is None


def test_where_the_folder_lies_does_not_matter(tmp_path: Path) -> None:
    listing(tmp_path, FILE)
    assert Quarantine(tmp_path).listed(replace(FILE, path=Path("/elsewhere/sub/a.mp4")))


def test_two_processes_keep_each_others_files(tmp_path: Path) -> None:
    one, other = Quarantine(tmp_path), Quarantine(tmp_path)
    one.add(FILE, "first")
    other.add(FAR, "second")
    one.save()
    other.save()
    assert all(Quarantine(tmp_path).listed(file) for file in (FILE, FAR))


def test_nothing_is_written_where_nothing_broke(tmp_path: Path) -> None:
    Quarantine(tmp_path / "cache").save()
    assert not (tmp_path / "cache").exists()


def test_clearing_forgets_all(tmp_path: Path) -> None:
    listing(tmp_path, FILE, FAR)
    assert Quarantine(tmp_path).clear() == 2
    assert Quarantine(tmp_path).listed(FILE) is None
    assert not (tmp_path / FILE_NAME).exists()
    assert Quarantine(tmp_path).clear() == 0


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"version": 1}', b'{"version": 1, "files": [{"name": "a"}]}', b"[]"]
)
def test_a_damaged_list_is_an_empty_one_and_said(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert Quarantine(tmp_path).listed(FILE) is None
    assert "are tried again" in caplog.text


def test_a_list_of_another_version_is_not_believed(tmp_path: Path) -> None:
    listing(tmp_path, FILE)
    content = json.loads((tmp_path / FILE_NAME).read_text())
    (tmp_path / FILE_NAME).write_text(json.dumps(content | {"version": 2}))
    assert Quarantine(tmp_path).listed(FILE) is None


def test_a_folder_that_cannot_be_written_is_said_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    quarantine = Quarantine(tmp_path / "cache")
    quarantine.add(FILE, "damaged")
    with caplog.at_level(logging.WARNING):
        quarantine.save()
    assert "cannot be written" in caplog.text


def test_a_name_that_is_not_utf_8_is_kept(tmp_path: Path) -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    file = FileRef(Path(name), 1, 1, name=name)
    listing(tmp_path, file)
    assert Quarantine(tmp_path).listed(file)


def test_many_that_save_at_once_lose_nothing(tmp_path: Path) -> None:
    files = [FileRef(Path(name), 1, 1, name=name) for name in "abcdefghijklmnop"]
    together = threading.Barrier(len(files))

    def put(file: FileRef) -> None:
        quarantine = Quarantine(tmp_path)
        quarantine.add(file, "damaged")
        together.wait(timeout=30)
        quarantine.save()

    with ThreadPoolExecutor(len(files)) as threads:
        list(threads.map(put, files))
    assert all(Quarantine(tmp_path).listed(file) for file in files)
