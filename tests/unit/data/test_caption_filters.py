"""Plain words are removed, s/this/that/ replaces, expressions are expressions; what is wrong is named at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reeltune.data.caption_filters import Filters, read_filters
from reeltune.errors import ConfigError


@pytest.mark.parametrize(
    ("entries", "caption", "left"),
    [
        (["a video of "], "a video of a cat", "a cat"),
        (["blurry"], "a cat, blurry, on a mat", "a cat, on a mat"),
        (["slowly"], "it moves slowly.", "it moves."),
        (["low quality."], "A cat. low quality. Low qualityX", "A cat. Low qualityX"),
        (["s/cat/dog/"], "a cat and a cat", "a dog and a dog"),
        (["s/cat/dog"], "a cat", "a dog"),
        (["s/(\\w+) cat/cat \\1/"], "a red cat", "a cat red"),
        (["s/km\\/h/mph/"], "60 km/h", "60 mph"),
        ([r"\b\d+ ?fps\b"], "a cat at 24 fps, running", "a cat at, running"),
        (["^The (video|image) shows "], "The image shows The video shows", "The video shows"),
        (["cat", "s/^a/the/"], "a cat sat", "the sat"),
    ],
)
def test_what_becomes_of_a_caption(entries: list[str], caption: str, left: str) -> None:
    assert read_filters(entries).apply(caption) == left


@pytest.mark.parametrize("filters", [Filters(), read_filters(["dog"])])
def test_a_caption_that_nothing_is_found_in_is_left_as_it_is(filters: Filters) -> None:
    caption = " two  blanks , and a comma ,, "
    assert filters.apply(caption) == caption


def test_a_list_may_lie_in_a_file(tmp_path: Path) -> None:
    lines, listed = tmp_path / "filters.txt", tmp_path / "filters.json"
    lines.write_text("\ufeffone\n\ns/two/three/\n", encoding="utf-8")
    listed.write_text(json.dumps(["one", "s/two/three/"]))
    for path in (lines, listed):
        assert read_filters(str(path)).apply("one two") == "three"


def test_every_entry_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        read_filters(["fine", "(open", r"s/a/\2/", "s/a/b/c"])
    text = str(caught.value)
    assert "caption_filter_list: 3 problems" in text
    assert all(repr(entry) in text for entry in ("(open", r"s/a/\2/", "s/a/b/c"))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("f.txt", None, "cannot be read"),
        ("f.txt", b"\xff", "not UTF-8"),
        ("f.json", b"{}", "a JSON list of strings is needed"),
        ("f.json", b"[1]", "a JSON list of strings is needed"),
        ("f.json", b"[", "a JSON list of strings is needed"),
        ("f.md", b"a", r"ends with \.txt or \.json"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"caption_filter_list .*{name}.*{why}"):
        read_filters(str(tmp_path / name))
