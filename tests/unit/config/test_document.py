"""Where things stand in a JSON file."""

from __future__ import annotations

from pathlib import Path

import pytest

from reeltune.config.document import Repeat, find_keys, read_document
from reeltune.errors import ConfigError

TEXT = r"""// {"no": 1}
[
  {
    "id": "a, b: [c]", /* "id":
      2 */ 'it\'s': {"deep": [1, [2,
        3], {}]},
    bare: .5, "\u0061": null,
  },

  "x",
]
"""


def test_each_key_and_element_has_its_line() -> None:
    assert find_keys(TEXT) == (
        {
            (0,): 3,
            (0, "id"): 4,
            (0, "it's"): 5,
            (0, "it's", "deep"): 5,
            (0, "it's", "deep", 0): 5,
            (0, "it's", "deep", 1): 5,
            (0, "it's", "deep", 1, 0): 5,
            (0, "it's", "deep", 1, 1): 6,
            (0, "it's", "deep", 2): 6,
            (0, "bare"): 7,
            (0, "a"): 7,
            (1,): 10,
        },
        [],
    )


def test_a_repeated_key_is_found_with_both_lines_and_the_later_value_counts() -> None:
    lines, repeats = find_keys('{"a": {"x": 1, "y": 2},\n"a": {\n"x": 3}, "b": {"x": 1}}')
    assert repeats == [Repeat(("a",), 2, 1)]
    assert lines == {("a",): 2, ("a", "x"): 3, ("b",): 3, ("b", "x"): 3}


def test_a_text_that_is_one_value_has_no_keys() -> None:
    assert find_keys('"a: 1"') == ({}, [])


def test_comments_and_trailing_commas_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('\ufeff// what it is\n{"a": [1, 2,], /* more */ \'b\': "x",\n}\n', encoding="utf-8")
    assert read_document(path).content == {"a": [1, 2], "b": "x"}


def test_a_sign_in_two_escapes_is_one_sign(tmp_path: Path) -> None:
    """Programs that write JSON in ASCII write signs beyond the first 65536 as two escapes."""
    path = tmp_path / "f.json"
    path.write_text('{"\\ud83d\\ude00": "\\ud83d\\ude00!"}', encoding="ascii")
    document = read_document(path)
    assert document.content == {"\N{GRINNING FACE}": "\N{GRINNING FACE}!"}
    assert set(document.lines) == {("\N{GRINNING FACE}",)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1\n "b": 2}', 'line 2, column 2: unexpected """'),
        ('{"a": 1,\n "b": tru}', 'line 2, column 10: unexpected "}"'),
        ('{\n\n"a": "x\n"}', "line 3, column 8: unexpected end of line"),
        ('{\n"a": [1, 2}\n}', "line 2, column 12: unexpected end of line"),
        ('{"a": 1', "line 1, column 8: unexpected end of input"),
        ("", "there is nothing in it"),
        (" \n", "there is nothing in it"),
        ("[" * 5000, "its brackets are nested too deeply"),
        ('{"a": "\\u0000"}', "a text holds the sign \\u0000"),
        ('{"a": "\\ud800"}', "a text holds half of an escaped sign"),
    ],
)
def test_what_is_not_json_is_refused_with_line_and_column(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as failure:
        read_document(path)
    assert str(failure.value).startswith(f"{path} is not JSON: {reason}")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json does not exist"):
        read_document(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(tmp_path)
    (tmp_path / "f.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(tmp_path / "f.json")
