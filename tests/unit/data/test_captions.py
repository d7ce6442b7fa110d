"""Every way in which a clip may come by its words, and what is said where it has none."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from helpers.sources import Handed, entry
from reeltune.config.datasets import TableOptions, VideoDataset
from reeltune.contracts.source import Entry
from reeltune.data.caption_filters import Filters, read_filters
from reeltune.data.captions import MOST_BYTES, CaptionReader, Words, caption_lines
from reeltune.errors import DataError


def dataset(**options: Any) -> VideoDataset:
    return VideoDataset(id="clips", instance_data_dir="d", cache_dir_vae="c", **options)


def read(of: Entry, source: Handed | None = None, *, filters: Filters | None = None, **options: Any) -> Words:
    return CaptionReader(dataset(**options), source or Handed(), filters=filters or Filters()).read(of)


def beside(content: bytes | DataError, **options: Any) -> Words:
    return read(entry("sub/a.v1.mp4"), Handed(texts={"sub/a.v1.mp4": content}), **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_each_line_of_the_text_file_is_a_caption(encoding: str) -> None:
    content = "  ein Käfer \r\n\r\n\t\r\nläuft\u2028weiter".encode(encoding)
    assert beside(content) == Words(("ein Käfer", "läuft\u2028weiter"))


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf"])
def test_an_empty_text_gives_no_caption_and_is_named(content: bytes) -> None:
    assert beside(content) == Words((), "write one into d/sub/a.v1.txt, which is missing or empty")


def test_a_missing_text_is_named_where_it_would_be() -> None:
    assert read(entry("a.mp4")).reason == "write one into d/a.txt, which is missing or empty"
    far = read(entry("x", url="s3://bucket/some/b.mp4"))
    assert far.reason.startswith("write one into s3://bucket/some/b.txt,")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("Käfer".encode("latin-1"), "is not UTF-8 (byte 1)"),
        ("Käfer".encode("utf-16"), "is not UTF-8 (byte 0)"),
        (b"\x89PNG\r\n\x1a\n", "is not UTF-8 (byte 0)"),
        (b"a\0b", "holds bytes that are no text"),
        (b"a" * (MOST_BYTES + 1), "is larger than 1 MiB"),
    ],
)
def test_what_is_no_caption_is_refused_with_its_name(content: bytes, why: str) -> None:
    words = beside(content)
    assert words.captions == ()
    assert words.reason.startswith(f"d/sub/a.v1.txt {why}")


def test_a_text_of_the_full_size_is_read() -> None:
    assert caption_lines(b"a" * MOST_BYTES, name="a.txt") == ("a" * MOST_BYTES,)


def test_a_text_that_the_source_cannot_read_is_a_reason() -> None:
    assert beside(DataError("a.txt cannot be read: mend it")) == Words((), "a.txt cannot be read: mend it")


@pytest.mark.parametrize(
    ("file", "caption"),
    [
        (entry("x/a_red-ish_ball_.mp4"), "a red-ish ball"),
        (entry("x", url="https://host/dir/a%20cat_runs.mp4?token=1"), "a cat runs"),
    ],
)
def test_the_name_of_a_file_can_be_its_caption(file: Entry, caption: str) -> None:
    assert read(file, caption_strategy="filename").captions == (caption,)


def test_a_name_without_words_is_no_caption() -> None:
    words = read(entry("x/__.mp4"), caption_strategy="filename")
    assert words == Words((), "the name __.mp4 has no words; rename the file")


def test_one_prompt_for_all() -> None:
    assert read(entry("a.mp4"), caption_strategy="instanceprompt", instance_prompt=" sks ").captions == ("sks",)
    assert read(entry("a.mp4"), caption_strategy="instanceprompt").reason == "set instance_prompt in the dataset clips"


def test_a_prompt_goes_in_front_of_every_caption_once() -> None:
    prompt = {"instance_prompt": "sks", "prepend_instance_prompt": True}
    assert beside(b"one\ntwo", **prompt).captions == ("sks one", "sks two")
    assert beside(b"one", instance_prompt="sks").captions == ("one",)
    assert beside(b"", **prompt).captions == (), "a prompt in front of nothing is no caption"
    assert beside(b"one", caption_strategy="instanceprompt", **prompt).captions == ("sks",)


def test_a_prompt_alone_wins_over_every_other_caption() -> None:
    assert beside(b"one", instance_prompt="sks", only_instance_prompt=True).captions == ("sks",)


@pytest.mark.parametrize("strategy", ["csv", "huggingface"])
def test_the_sources_own_words_are_taken(strategy: str) -> None:
    found = read(entry("a.mp4", captions=(" one ", "", "two")), caption_strategy=strategy)
    assert found.captions == ("one", "two")
    assert read(entry("a.mp4"), caption_strategy=strategy).reason


def test_filters_change_captions_but_not_the_prompt() -> None:
    filters = read_filters(["sks", "s/cat/dog/"])
    prompt = {"instance_prompt": "sks cat", "prepend_instance_prompt": True}
    words = beside(b"sks cat runs\nnothing", filters=filters, **prompt)
    assert words == Words(("sks cat dog runs", "sks cat nothing"), changed=True)
    assert read(entry("a"), filters=filters, caption_strategy="instanceprompt", instance_prompt="sks cat") == Words(
        ("sks cat",)
    )


def test_a_caption_of_which_filters_leave_nothing_is_none() -> None:
    words = beside(b"sks\ncat sks", filters=read_filters(["sks"]))
    assert words == Words(("cat",), changed=True)
    assert beside(b"sks", filters=read_filters(["sks"])).reason.startswith("caption_filter_list takes out every word")


def table(folder: Path, *rows: tuple[str, ...], **options: Any) -> dict[str, Any]:
    path = folder / "captions.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "short", "long"), *rows])
    described = TableOptions(path=str(path), **{"caption_column": ("long", "short"), **options})
    return {"caption_strategy": "parquet", "parquet": described}


def test_a_table_is_matched_by_the_name_below_the_folder(tmp_path: Path) -> None:
    options = table(tmp_path, ("a", "s", "l"), ("./sub/a", "other", ""), ("c", "", ""))
    assert read(entry("a.mp4"), **options).captions == ("l", "s")
    assert read(entry("sub/a.mp4"), **options).captions == ("other",)
    assert f"the row c of {tmp_path}/captions.csv has no words" in read(entry("c.mp4"), **options).reason
    assert "no row with d in column id; add one" in read(entry("d.mp4"), **options).reason


def test_names_in_a_table_may_have_their_extension(tmp_path: Path) -> None:
    rows = ("a.mp4", "video", ""), ("a.gif", "animation", "")
    options = table(tmp_path, *rows, identifier_includes_extension=True)
    assert [read(entry(name), **options).captions for name in ("a.mp4", "a.gif")] == [("video",), ("animation",)]
    forgotten = read(entry("a.mp4"), **table(tmp_path, *rows))
    assert "set identifier_includes_extension to true: a row is named a.mp4" in forgotten.reason


def test_another_column_stands_in_where_the_caption_is_empty(tmp_path: Path) -> None:
    options = table(
        tmp_path, ("a", "short", "long"), ("b", "short", " "), caption_column="long", fallback_caption_column="short"
    )
    assert [read(entry(name), **options).captions for name in ("a.mp4", "b.mp4")] == [("long",), ("short",)]


def test_several_rows_about_a_file_give_it_several_captions(tmp_path: Path) -> None:
    assert read(entry("a.mp4"), **table(tmp_path, ("a", "", "one"), ("a", "", "two"))).captions == ("one", "two")


def test_a_table_that_is_not_there_ends_the_reading(tmp_path: Path) -> None:
    options = {"caption_strategy": "parquet", "parquet": TableOptions(path=str(tmp_path / "no.parquet"))}
    with pytest.raises(DataError, match=r"no\.parquet does not exist"):
        read(entry("a.mp4"), **options)
