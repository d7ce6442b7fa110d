"""One value of a JSON5 text is set where it stands: comments, order and spacing of all else stay as they are."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import json5

from reeltune.config.document import TOKEN, KeyPath

_COMMENT = ("//", "/*")


@dataclass(frozen=True)
class Place:
    """Where a value stands in the text, from `start` up to `end`, and where the values inside it stand."""

    start: int
    end: int
    parts: Mapping[str | int, Place] = field(default_factory=dict)
    trailing_comma: bool = False


def find_places(text: str) -> Place:
    """Return the place of the top value of a valid JSON5 text. Of a key that comes twice, the later one counts."""
    return _value(deque(match for match in TOKEN.finditer(text) if not match.group().startswith(_COMMENT)))


def set_value(text: str, key: KeyPath, value: Any) -> str:
    """Return the text with one value set: in its place, or as the last entry of the innermost object that is there."""
    place, rest = find_places(text), list(key)
    while rest and rest[0] in place.parts:
        place = place.parts[rest.pop(0)]
    if not rest:
        return text[: place.start] + _written(value) + text[place.end :]
    for inner in reversed(rest[1:]):
        value = {inner: value}
    return _with_entry(text, place, f"{_written(rest[0])}: {_written(value)}")


def _value(tokens: deque[re.Match[str]]) -> Place:
    first = tokens.popleft()
    if first.group() not in ("{", "["):
        return Place(first.start(), first.end())
    parts: dict[str | int, Place] = {}
    comma = False
    while tokens[0].group() not in ("}", "]"):
        key = _key(tokens) if first.group() == "{" else len(parts)
        parts[key] = _value(tokens)
        comma = tokens[0].group() == ","
        if comma:
            tokens.popleft()
    return Place(first.start(), tokens.popleft().end(), parts, comma)


def _key(tokens: deque[re.Match[str]]) -> str:
    word = tokens.popleft().group()
    tokens.popleft()  # the colon
    return json5.loads(word) if word[0] in "\"'" else word


def _with_entry(text: str, place: Place, entry: str) -> str:
    """Add an entry to an object, in the manner of the entries that it has."""
    inside = text[place.start + 1 : place.end - 1]
    last = max((part.end for part in place.parts.values()), default=None)
    if last is not None and not place.trailing_comma:
        # The comma goes behind the value, before a comment on the same line.
        text = f"{text[:last]},{text[last:]}"
        place = Place(place.start, place.end + 1, place.parts)
        inside = text[place.start + 1 : place.end - 1]
    comma = "," if place.trailing_comma else ""
    body = text[: place.end - 1].rstrip()
    after = text[len(body) :]
    if "\n" not in inside and last is not None:
        return f"{body} {entry}{comma}{after}"
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = _indent(text, place)
    closing = after if "\n" in inside[len(inside.rstrip()) :] else f"{newline}{_line_indent(text, place.start)}{after}"
    return f"{body}{newline}{indent}{entry}{comma}{closing}"


def _indent(text: str, place: Place) -> str:
    """Return how the entries of an object are indented: as the last one is."""
    if not place.parts:
        return _line_indent(text, place.start) + "  "
    return _line_indent(text, max(part.start for part in place.parts.values()))


def _line_indent(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
