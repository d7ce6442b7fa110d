"""A library of prompts is read whole, or refused with every problem and its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from reeltune.config.prompts import BUILT_IN, NamedPrompt, file_safe, load_prompts, parse_prompts, require_distinct
from reeltune.errors import ConfigError


def library(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "library.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_library_is_read_in_its_order(tmp_path: Path) -> None:
    text = '{\n // mine\n "anime_<token>": "a woman, drawn ",\n "猫": "两只猫",\n}'
    expected = (NamedPrompt("anime_<token>", "a woman, drawn"), NamedPrompt("猫", "两只猫"))
    assert load_prompts(library(tmp_path, text)) == expected
    assert parse_prompts({"anime_<token>": "a woman, drawn ", "猫": "两只猫"}) == expected


def test_every_problem_is_listed_with_its_line(tmp_path: Path) -> None:
    text = """{
        "empty": " ",
        "number": 3,
        "a/b": "one",
        "A_b": "two",
        "twice": "three",
        "twice": "four",
        "%s": "five"
    }"""
    path = library(tmp_path, text % ("long" * 26))
    with pytest.raises(ConfigError) as caught:
        load_prompts(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 5 problems",
        "  twice (line 7): comes twice, first in line 6",
        "  empty (line 2): has no text; a prompt is needed",
        "  number (line 3): is 3; the text of a prompt is needed",
        f"  {'long' * 26} (line 8): is too long for a file name: 100 bytes at most",
        "  A_b (line 5): becomes the same file name as 'a/b': A_b",
    ]


@pytest.mark.parametrize("text", ["[]", '"a prompt"', "3", "null"])
def test_what_is_no_object_is_refused_with_what_one_looks_like(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match='library.json holds no prompt library.*{"nickname": "prompt", ...}'):
        load_prompts(library(tmp_path, text))


def test_a_library_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent.json does not exist"):
        load_prompts(tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="library.json is not JSON"):
        load_prompts(library(tmp_path, '{"a": '))


def test_problems_of_a_library_in_the_configuration_name_the_option() -> None:
    with pytest.raises(ConfigError, match=r"(?s)user_prompt_library: 2 problems.*  a .*no text.*  b .*is \['x'\]"):
        parse_prompts({"a": "", "b": ["x"]})


def test_one_name_from_two_sources_is_refused() -> None:
    prompts = (NamedPrompt("woman", "a"), NamedPrompt("Woman", "b"), NamedPrompt("woman", "c"))
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*Woman.*'woman'; rename it.*woman .*'woman'; rename it"):
        require_distinct(prompts)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("anime_<token>", "anime_token"),
        ("a/b:c", "a_b_c"),
        ("..", "video"),
        ("猫 1", "猫_1"),
        ("con.", "con"),
        ("x-1.5", "x-1.5"),
    ],
)
def test_a_file_name_is_one_that_every_file_system_takes(name: str, safe: str) -> None:
    assert file_safe(name) == safe


def test_the_built_in_prompts_differ_in_name_and_are_long_enough_to_direct_a_video() -> None:
    require_distinct(BUILT_IN)
    assert all(file_safe(prompt.name) == prompt.name for prompt in BUILT_IN)
    assert all(len(prompt.prompt.split()) >= 25 for prompt in BUILT_IN)
    assert 8 <= len(BUILT_IN) <= 16
