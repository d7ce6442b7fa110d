"""A file is whole, or not there at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from reeltune.whole_files import DRAFTS, unused_name, whole_file


def test_the_name_is_given_only_when_the_block_ends_well(tmp_path: Path) -> None:
    place = tmp_path / "new/file.txt"
    with whole_file(place) as draft:
        draft.write_text("whole")
        assert not place.exists()
        assert list(place.parent.glob(DRAFTS)) == [draft]
    assert [path.name for path in place.parent.iterdir()] == ["file.txt"]


def test_a_block_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    place = tmp_path / "file.txt"
    place.write_text("earlier")

    def fail() -> None:
        with whole_file(place) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "earlier")]


def test_two_threads_may_write_one_file(tmp_path: Path) -> None:
    place, both = tmp_path / "file.txt", Barrier(2, timeout=30)

    def write(text: str) -> None:
        with whole_file(place) as draft:
            draft.write_text(text)
            both.wait()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, ("aaa", "b")))
    assert place.read_text() in ("aaa", "b")
    assert list(tmp_path.iterdir()) == [place]


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    assert unused_name(tmp_path / "run") == tmp_path / "run"
    for name in ("run", "run.1"):
        (tmp_path / name).mkdir()
    assert unused_name(tmp_path / "run") == tmp_path / "run.2"
