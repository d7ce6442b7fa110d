from __future__ import annotations

import os
from pathlib import Path

import pytest

from reeltune.data.sources import find_media
from reeltune.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))


def found(folder: Path) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in find_media(folder).videos]


def test_videos_are_found_in_all_subfolders_sorted_and_hidden_ones_skipped(tmp_path: Path):
    touch(tmp_path, "b.MP4", "a.mkv", "sub/x.WebM", "sub/deep/y.mov", "z.avi", "m.m4v")
    touch(tmp_path, "a.txt", ".hidden.mp4", ".git/c.mp4", "picture.png", "._b.MP4")
    assert found(tmp_path) == ["a.mkv", "b.MP4", "m.m4v", "sub/deep/y.mov", "sub/x.WebM", "z.avi"]


def test_size_and_time_of_change_are_recorded(tmp_path: Path):
    touch(tmp_path, "abc.mp4")
    os.utime(tmp_path / "abc.mp4", ns=(5, 7_000))
    (file,) = find_media(tmp_path).videos
    assert (file.size_bytes, file.mtime_ns) == (7, 7_000)


def test_linked_folders_are_followed_once_and_loops_end(tmp_path: Path):
    touch(tmp_path, "data/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "data/loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "data/same").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert found(tmp_path / "data") == ["a.mp4", "more/b.mp4"]


def test_a_link_that_leads_nowhere_is_listed(tmp_path: Path):
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    assert found(tmp_path) == ["a.mp4"]


def test_missing_folder_is_named_with_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"datasets/clips does not exist in {tmp_path}.*instance_data_dir"):
        find_media(Path("datasets/clips"))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(DataError, match=r"a\.mp4 is a file; set instance_data_dir"):
        find_media(tmp_path / "a.mp4")


def test_a_folder_without_videos_says_what_it_holds(tmp_path: Path):
    touch(tmp_path, "a.gif", "b.gif", "c.txt", "README")
    with pytest.raises(DataError, match=r"looked for \.mp4 \.mkv.*4 other files are there \(2 \.gif") as caught:
        find_media(tmp_path)
    assert "1 no extension" in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it holds no files"):
        find_media(tmp_path / "empty")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a.mp4", "locked/b.mp4")
    scandir = os.scandir

    # chmod would not stop a test that runs as root.
    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"locked cannot be read: Permission denied; .*chmod"):
        find_media(tmp_path)


def test_pictures_and_other_videos_are_listed_apart(tmp_path: Path):
    touch(tmp_path, "a.mp4", "b.GIF", "sub/c.jpg", "sub/d.mpg", "notes.txt", ".hidden.gif")
    assert [path.relative_to(tmp_path).as_posix() for path in find_media(tmp_path).unread] == [
        "b.GIF",
        "sub/c.jpg",
        "sub/d.mpg",
    ]
