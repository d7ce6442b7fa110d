"""Where things stand in a JSON file."""

from __future__ import annotations

from reeltune.config.document import Repeat, find_keys

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
