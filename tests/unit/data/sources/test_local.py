from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from helpers.datasets import dataset_in, names, reasons, write_table
from reeltune.config.datasets import TableOptions
from reeltune.data.sources import open_source
from reeltune.data.sources.local import LocalSource
from reeltune.errors import DataError, UnreadableFile


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))


def local(folder: Path, **options: Any) -> LocalSource:
    source = open_source(dataset_in(folder.parent / "elsewhere", instance_data_dir=str(folder), **options))
    assert isinstance(source, LocalSource)
    return source


def found(folder: Path) -> list[str]:
    return names(local(folder).find())


def test_videos_are_found_in_all_subfolders_sorted_and_hidden_ones_skipped(tmp_path: Path):
    touch(tmp_path, "b.MP4", "a.mkv", "sub/x.WebM", "sub/deep/y.mov", "z.avi", "m.m4v")
    touch(tmp_path, "a.txt", ".hidden.mp4", ".git/c.mp4", "picture.png", "._b.MP4")
    assert found(tmp_path) == ["a.mkv", "b.MP4", "m.m4v", "sub/deep/y.mov", "sub/x.WebM", "z.avi"]


def test_size_and_time_of_change_are_recorded(tmp_path: Path):
    touch(tmp_path, "abc.mp4")
    os.utime(tmp_path / "abc.mp4", ns=(5, 7_000))
    file = local(tmp_path).find().entries[0].file
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


@pytest.mark.parametrize("to", ["gone.mp4", "a.mp4"])
def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path: Path, to: str):
    (tmp_path / "a.mp4").symlink_to(to)
    source = local(tmp_path)
    with pytest.raises(UnreadableFile, match=rf"a link to {to}, where nothing is; mend or delete it"):
        source.fetch(source.find().entries[0].file)


def test_missing_folder_is_named_with_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"datasets/clips does not exist in {tmp_path}.*instance_data_dir"):
        local(Path("datasets/clips")).find()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(DataError, match=r"a\.mp4 is a file; set instance_data_dir"):
        local(tmp_path / "a.mp4").find()


def test_a_folder_without_videos_says_what_it_holds(tmp_path: Path):
    touch(tmp_path, "a.png", "b.png", "c.txt", "README")
    with pytest.raises(DataError, match=r"looked for \.mp4 \.mkv.*4 other files are there \(2 \.png") as caught:
        local(tmp_path).find()
    assert "1 no extension" in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it holds no files"):
        local(tmp_path / "empty").find()


def lock(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have no folder of this name be readable."""
    scandir = os.scandir

    # chmod would not stop a test that runs as root.
    def refusing(path: str) -> object:
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def test_every_file_that_shows_something_is_offered_or_passed_over_with_its_reason(tmp_path: Path):
    touch(tmp_path, "a.mp4", "b.GIF", "sub/c.jpg", "sub/d.mpg", "notes.txt", ".hidden.mp4")
    found = local(tmp_path).find()
    assert names(found) == ["a.mp4", "b.GIF"]
    assert reasons(found) == {
        str(tmp_path / "sub/c.jpg"): "not read: a picture in a dataset of type video; name it in one of type image",
        str(tmp_path / "sub/d.mpg"): "not read: .mpg is none of .mp4 .mkv .m4v .mov .webm .avi .gif .webp .apng; "
        "convert it",
    }
    pictures = local(tmp_path, dataset_type="image").find()
    assert (names(pictures), len(pictures.passed)) == (["b.GIF", "sub/c.jpg"], 2)


def test_a_subfolder_that_cannot_be_read_is_passed_over_and_the_folder_itself_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    touch(tmp_path / "clips", "a.mp4", "locked/b.mp4")
    lock(monkeypatch, "locked")
    found = local(tmp_path / "clips").find()
    assert names(found) == ["a.mp4"]
    assert reasons(found)[str(tmp_path / "clips/locked")].startswith("unreadable: cannot be read: Permission denied")
    lock(monkeypatch, "clips")
    with pytest.raises(DataError, match="clips cannot be read: Permission denied; give this user"):
        local(tmp_path / "clips").find()


def test_a_file_that_goes_away_after_it_was_listed_is_unreadable(tmp_path: Path):
    touch(tmp_path, "a.mp4")
    (entry,) = local(tmp_path).find().entries
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(UnreadableFile, match="it is gone since it was listed"):
        local(tmp_path).fetch(entry.file)


def test_a_text_is_read_up_to_a_mebibyte_and_a_pipe_is_never_opened(tmp_path: Path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "a.txt").write_bytes(b"x" * 2_000_000)
    os.mkfifo(tmp_path / "b.txt")
    source = local(tmp_path)
    long, pipe, none = (entry.file for entry in source.find().entries)
    assert len(source.text_beside(long) or b"") == 2**20 + 1
    with pytest.raises(DataError, match=r"b\.txt is no regular file"):
        source.text_beside(pipe)
    assert source.text_beside(none) is None


@pytest.mark.parametrize("whole_names", [True, False])
def test_with_a_table_only_what_it_names_is_offered_and_all_else_is_explained(tmp_path: Path, whole_names: bool):
    touch(tmp_path / "clips", "a.mp4", "sub/b.mp4", "c.mp4", "d.jpg")
    ending = ".mp4" if whole_names else ""
    table = write_table(tmp_path / "t.csv", ("id", "description"), (f"sub/b{ending}", "x"), (f"gone{ending}", "y"))
    options = TableOptions(path=str(table), identifier_includes_extension=whole_names)
    found = local(tmp_path / "clips", metadata_backend="parquet", parquet=options).find()
    assert names(found) == ["sub/b.mp4"]
    kinds = {Path(place).name: reason.partition(":")[0] for place, reason in reasons(found).items()}
    expected = {
        "a.mp4": "not in the table",
        "c.mp4": "not in the table",
        "d.jpg": "not read",
        f"gone{ending}": "missing",
    }
    assert kinds == expected


def test_a_table_may_write_names_as_paths_are_written(tmp_path: Path):
    touch(tmp_path / "clips", "a.mp4", "sub/b.mp4")
    table = write_table(tmp_path / "t.csv", ("id",), ("./a.mp4",), ("sub//b.mp4",))
    options = TableOptions(path=str(table), identifier_includes_extension=True)
    found = local(tmp_path / "clips", metadata_backend="parquet", parquet=options).find()
    assert (names(found), found.passed) == (["a.mp4", "sub/b.mp4"], ())


def test_few_of_many_stay_the_same_when_a_file_is_added(tmp_path: Path):
    touch(tmp_path, *(f"{number}.mp4" for number in range(40)))
    before = set(names(local(tmp_path, max_num_samples=10).find()))
    touch(tmp_path, "new.mp4")
    after = set(names(local(tmp_path, max_num_samples=10).find()))
    assert len(before) == len(after) == 10
    assert len(after - before) <= 1
