"""A JSON file with the place of everything in it, so that a problem can be shown where it stands.

Comments, trailing commas and bare names are tolerated, as JSON5 has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reeltune.config.json_text import parse_json
from reeltune.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""From the top of a file to a value: keys of objects, positions in lists."""

TOKEN = re.compile(
    r"""//[^\n\r]* | /\*.*?\*/ | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | [{}\[\]:,] | [^\s{}\[\]:,"'/]+""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Repeat:
    """A key that one object has twice; lines count from 1."""

    key: KeyPath
    line: int
    earlier: int


@dataclass(frozen=True)
class Document:
    """What a file says, and in which line."""

    path: Path
    content: Any
    lines: Mapping[KeyPath, int]
    repeats: tuple[Repeat, ...]

    def known(self, key: KeyPath) -> KeyPath:
        """Return the longest beginning of a key path that is in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return key

    def where(self, key: KeyPath) -> str:
        """Return `FILE, line N` of a key, or of what it is missing from."""
        return f"{self.path}, line {self.lines.get(self.known(key), 1)}"


def read_document(path: Path) -> Document:
    """Read a file. Raises ConfigError when it is not there, cannot be read or is not JSON."""
    text = _read_text(path)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    lines, repeats = find_keys(text)
    return Document(path, content, lines, tuple(repeats))


def find_keys(text: str) -> tuple[dict[KeyPath, int], list[Repeat]]:
    """Return the line of every key and list element of a valid JSON5 text, and the keys that come twice."""
    lines: dict[KeyPath, int] = {}
    repeats: list[Repeat] = []
    for key, line in _keys(text):
        if key in lines:
            repeats.append(Repeat(key, line, lines[key]))
            # The later value counts, and what is inside the earlier one is no repetition.
            lines = {other: number for other, number in lines.items() if other[: len(key)] != key}
        lines[key] = line
    return lines, repeats


def _keys(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Walk the brackets; `here` leads to the entry that is being read, its last part None where no key was seen."""
    here: list[Any] = []
    word, word_line = "", 1
    starts_an_element = False
    for match in TOKEN.finditer(text):
        token = match.group()
        if token.startswith("/"):
            continue
        line = text.count("\n", 0, match.start()) + 1
        if starts_an_element and token != "]":
            yield tuple(here), line
        starts_an_element = False
        if token in "{[":
            starts_an_element = token == "["
            here.append(0 if starts_an_element else None)
        elif token in "}]":
            here.pop()
        elif token == "," and isinstance(here[-1], int):
            here[-1] += 1
            starts_an_element = True
        elif token == ":":
            here[-1] = parse_json(word) if word[0] in "\"'" else word
            yield tuple(here), word_line
        else:
            word, word_line = token, line


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Name the right file, or write it first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
