"""Options on the command line: which words are names and which are values, and what a value means.

A value stays as typed until its option's declaration says what it is: `1e3` is a number for learning_rate and three
characters for validation_prompt.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, get_args

from reeltune.config.json_text import parse_json
from reeltune.config.root import canonical_names
from reeltune.errors import ConfigError

NO_TEXT: Mapping[str, tuple[Any, Any]] = {"null": (None, NoneType), "false": (False, False)}
"""Words that are no text where the option allows what they mean: the value, and how a declaration allows it."""


def parse_overrides(words: Sequence[str], *, also: Collection[str] = ()) -> dict[str, str | bool]:
    """Read `name=value`, `--name=value`, `--name value` and a bare `--name` (true); of one name given twice, the last.

    also: names beside the options that start a `name=value` of their own.
    Raises ConfigError for a word that is none of these.
    """
    names = {*canonical_names(), *also}
    values: dict[str, str | bool] = {}
    rest = [_readable(word) for word in words]
    while rest:
        word = rest.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if not equals and not word.startswith("--"):
            raise ConfigError(f"command line: cannot read {word!r}; options are written name=value or --name value")
        followed = not equals and bool(rest) and not _is_option(rest[0], names)
        values[_underscored(name)] = text if equals else rest.pop(0) if followed else True
    return values


def read_value(typed: str, declared: Any) -> Any:
    """Return what a typed value means for an option of the declared type: text as it stands, else JSON or a word."""
    leaves = list(_leaves(declared))
    if not any(leaf is str or isinstance(leaf, str) for leaf in leaves):
        return _json_or_word(typed)
    value, allowed = NO_TEXT.get(typed, (typed, str))
    return value if any(leaf is allowed for leaf in leaves) else typed


def _readable(word: str) -> str:
    """Return a word as it is. Raises ConfigError for one that could not be written down again."""
    try:
        word.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"command line: {word!r} is not in UTF-8; type it in a terminal that is") from None
    return word


def _is_option(word: str, names: Collection[str]) -> bool:
    name, equals, _ = word.partition("=")
    return bool(re.match("--[A-Za-z]", word)) or (bool(equals) and _underscored(name) in names)


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _leaves(declared: Any) -> Iterator[Any]:
    """Yield the plain types and the literal values that a type is made of."""
    parts = get_args(declared)
    if not parts:
        yield declared
    for part in parts:
        yield from _leaves(part)


def _json_or_word(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text
