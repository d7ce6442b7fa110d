"""One value is set; every other character of the file stays."""

from __future__ import annotations

import json

import json5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reeltune.cli.configure.edit import set_value
from reeltune.config.document import KeyPath

COMMENTED = """// my run
{
  "--seed": 42, // the answer
  /* kept: "lora_rank": 1 */
  lora_rank: 16,
  'prompt': "a \\"cat\\", // not a comment",
  "nested": { "a": 1 }   // last
}
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        (("--seed",), 7, "42", "7"),
        (("lora_rank",), 32, "rank: 16", "rank: 32"),
        (("prompt",), "窗", '"a \\"cat\\", // not a comment"', '"窗"'),
        (("nested",), None, '{ "a": 1 }', "null"),
        (("nested", "a"), 2, '{ "a": 1 }', '{ "a": 2 }'),
        (("nested", "b"), 2, '{ "a": 1 }', '{ "a": 1, "b": 2 }'),
        (("new",), True, '{ "a": 1 }   // last\n}', '{ "a": 1 },   // last\n  "new": true\n}'),
        (("new", "deep"), [1], '{ "a": 1 }   // last\n}', '{ "a": 1 },   // last\n  "new": {"deep": [1]}\n}'),
    ],
)
def test_only_the_value_changes(key: KeyPath, value: object, old: str, new: str) -> None:
    assert COMMENTED.count(old) == 1
    assert set_value(COMMENTED, key, value) == COMMENTED.replace(old, new)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("{}", '{\n  "a": 1\n}'),
        ("{\n}\n", '{\n  "a": 1\n}\n'),
        ("{ // nothing yet\n}", '{ // nothing yet\n  "a": 1\n}'),
        ('{\n\t"b": 2,\n}', '{\n\t"b": 2,\n\t"a": 1,\n}'),
        ('{"b": 2}', '{"b": 2, "a": 1}'),
        ('{"b": 2,}', '{"b": 2, "a": 1,}'),
        ('{\r\n  "b": 2\r\n}\r\n', '{\r\n  "b": 2,\r\n  "a": 1\r\n}\r\n'),
        ('{\n  "b": [\n    2\n  ]}', '{\n  "b": [\n    2\n  ],\n  "a": 1\n}'),
        ('{ "b": 2, // two\n  // end\n}', '{ "b": 2, // two\n  // end\n"a": 1,\n}'),
    ],
)
def test_a_new_entry_is_written_like_its_neighbours(text: str, after: str) -> None:
    assert set_value(text, ("a",), 1) == after
    assert json5.loads(after)["a"] == 1


def test_entries_of_lists_are_found() -> None:
    text = '[\n  // first\n  { "id": "a" },\n  { "id": "b", "video": {} }\n]'
    edited = set_value(text, (1, "video", "num_frames"), 33)
    assert json5.loads(edited) == [{"id": "a"}, {"id": "b", "video": {"num_frames": 33}}]
    assert edited.startswith('[\n  // first\n  { "id": "a" },')


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(
    start=st.dictionaries(st.text(max_size=3), values, max_size=4),
    key=st.text(max_size=3),
    value=values,
    indent=st.sampled_from([None, 2]),
)
def test_what_is_read_afterwards_is_what_was_set(
    start: dict[str, object], key: str, value: object, indent: int | None
) -> None:
    edited = set_value(json.dumps(start, indent=indent), (key,), value)
    assert json.loads(edited) == start | {key: value}
    assert list(json.loads(edited)) == list(start | {key: value})
