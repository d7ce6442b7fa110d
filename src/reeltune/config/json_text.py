"""JSON as people write it: comments, trailing commas and bare names are tolerated, as JSON5 has them."""

from __future__ import annotations

import re
from typing import Any

import json5


def parse_json(text: str) -> Any:
    """Return what a text says. Raises ValueError, with line and column first, when it is not JSON5."""
    if not text.strip():
        raise ValueError("there is nothing in it")
    try:
        content = json5.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except ValueError as error:
        raise ValueError(_place_first(str(error))) from None
    return _writable(content)


def _writable(value: Any) -> Any:
    """Return a value whose texts can be written to files and are fit for names of files."""
    match value:
        case str():
            return _whole(value)
        case dict():
            return {_writable(key): _writable(item) for key, item in value.items()}
        case list():
            return [_writable(item) for item in value]
    return value


def _whole(text: str) -> str:
    """Return a text with its escapes joined: the parser leaves a sign that two of them stand for in halves."""
    if "\0" in text:
        raise ValueError(f"a text holds the sign \\u0000, which no file takes: {text[:40]!r}")
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError(f"a text holds half of an escaped sign: {text[:40]!r}") from None


def _place_first(message: str) -> str:
    """Return the parser's `<string>:2 Unexpected "x" at column 3` as `line 2, column 3: unexpected "x"`."""
    found = re.fullmatch(r"<string>:(\d+) (.*) at column (\d+)", message, re.DOTALL)
    if not found:
        return message
    line, what, column = found.groups()
    what = what[:1].lower() + what[1:]
    return f"line {line}, column {column}: " + what.replace('"\n"', "end of line")
