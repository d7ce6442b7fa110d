"""What is wrong with options, in words for the person who wrote them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydantic_core import ErrorDetails

from reeltune.errors import ConfigError, listed

MANY = 10
"""Choices that are no longer listed one by one."""


@dataclass
class Problems:
    """What is wrong so far with one file; raised together."""

    heading: str
    lines: list[str] = field(default_factory=list)

    def add(self, name: str, where: str, problem: str) -> None:
        self.lines.append(f"{name} ({where}): {problem}")

    def raise_if_any(self) -> None:
        if self.lines:
            raise ConfigError(listed(self.heading, self.lines))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `; nearest is X`, or nothing when no name is near."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; nearest is {close[0]}" if close else ""


def unknown(name: str, names: Iterable[str], *, elsewhere: Mapping[str, str], noun: str) -> str:
    """Say that a name is not known here. elsewhere: names in use in other trainers' files, with what there is."""
    if name in elsewhere:
        return f"is an option of other trainers that reeltune does not have yet: {elsewhere[name]}"
    return f"unknown {noun}{nearest(name, names)}"


def explain(details: list[ErrorDetails], refused: Mapping[str, str] | None = None) -> str:
    """Say what is wrong with one value; a value of several types fails once for each of them.

    refused: values in use elsewhere, with the reason why they are not taken.
    """
    if reason := _refusal(details, refused or {}):
        return reason
    phrases = dict.fromkeys(_phrase(detail) for detail in details)
    if details[0]["type"] in WITHOUT_VALUE:
        return ", or ".join(phrases)
    return f"is {shortened(details[0]['input'])}; {', or '.join(phrases)}"


def shortened(value: Any, longest: int = 120) -> str:
    """Return a value as it would be written, cut where it is too long to be read."""
    text = {"True": "true", "False": "false", "None": "null"}.get(repr(value), repr(value))
    return text if len(text) <= longest else f"{text[:longest]}..."


def _refusal(details: list[ErrorDetails], refused: Mapping[str, str]) -> str | None:
    for detail in details:
        if detail["type"] in ("literal_error", "bool_type", "bool_parsing"):
            for pattern, reason in refused.items():
                if fnmatchcase(str(detail["input"]).lower(), pattern.lower()):
                    return f"is {detail['input']!r}, which is not possible: {reason}"
    return None


def _phrase(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return _choices(detail)
    special = WITHOUT_VALUE.get(detail["type"]) or WITH_VALUE.get(detail["type"])
    return special(detail.get("ctx", {})) if special else detail["msg"][0].lower() + detail["msg"][1:]


def _choices(detail: ErrorDetails) -> str:
    """Name what is possible, shortened where it is many, and what is nearest."""
    expected = str(detail.get("ctx", {})["expected"]).replace("False", "false")
    names = re.findall(r"'([^']*)'", expected)
    shown = expected if len(names) <= MANY else f"one of {len(names)} names is needed (reeltune options says which)"
    words = shown if len(names) > MANY else f"{shown} is needed"
    return words + nearest(str(detail["input"]), names)


WITHOUT_VALUE: Mapping[str, Callable[[dict], str]] = {
    "missing": lambda context: "this option is needed",
    "extra_forbidden": lambda context: "unknown key",
    "union_tag_invalid": lambda context: f"is {context['tag']!r}; {context['expected_tags']} is needed",
}
"""Phrases for pydantic's kinds of error whose input is not the value that the user gave."""

WITH_VALUE: Mapping[str, Callable[[dict], str]] = {
    "value_error": lambda context: str(context["error"]),
    "model_type": lambda context: "an object is needed: { ... }",
    "string_type": lambda context: 'a text is needed, in quotes in a file: "..."',
    **dict.fromkeys(("float_type", "float_parsing"), lambda context: "a number is needed"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda context: "a whole number is needed"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda context: "true or false is needed"),
    **dict.fromkeys(("tuple_type", "list_type"), lambda context: "a list is needed: [ ... ]"),
    "dict_type": lambda context: "an object is needed: { ... }",
}
"""Phrases for kinds of error that pydantic words for programmers."""
