from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.config.datasets import VideoDataset
from reeltune.data.captions import missing_caption, read_captions
from reeltune.errors import DataError


def dataset(**options: Any) -> VideoDataset:
    return VideoDataset(id="clips", instance_data_dir="d", cache_dir_vae="c", **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_each_line_of_the_text_file_is_a_caption(tmp_path: Path, encoding: str):
    (tmp_path / "a.v1.txt").write_bytes("  ein Käfer \r\n\r\n\t\r\nläuft\u2028weiter".encode(encoding))
    assert read_captions(tmp_path / "a.v1.mp4", dataset()) == ("ein Käfer", "läuft\u2028weiter")


@pytest.mark.parametrize("content", [None, "", " \n\n"])
def test_missing_and_empty_text_files_give_no_caption_and_are_named(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "a.txt").write_text(content)
    assert read_captions(tmp_path / "a.mp4", dataset()) == ()
    assert str(tmp_path / "a.txt") in missing_caption(tmp_path / "a.mp4", dataset())


@pytest.mark.parametrize("content", ["Käfer".encode("latin-1"), "Käfer".encode("utf-16")])
def test_text_that_is_not_utf8_is_refused_with_its_name(tmp_path: Path, content: bytes):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8"):
        read_captions(tmp_path / "a.mp4", dataset())


def test_a_folder_in_place_of_the_text_file_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(DataError, match=r"a\.txt cannot be read"):
        read_captions(tmp_path / "a.mp4", dataset())


def test_filename_and_instanceprompt():
    names = dataset(caption_strategy="filename")
    assert read_captions(Path("x/a_red-ish_ball_.mp4"), names) == ("a red-ish ball",)
    assert read_captions(Path("x/__.mp4"), names) == ()
    assert "rename" in missing_caption(Path("x/__.mp4"), names)
    assert read_captions(Path("a.mp4"), dataset(caption_strategy="instanceprompt", instance_prompt=" sks ")) == ("sks",)
    assert read_captions(Path("a.mp4"), dataset(caption_strategy="instanceprompt")) == ()
    assert "instance_prompt" in missing_caption(Path("a.mp4"), dataset(caption_strategy="instanceprompt"))
