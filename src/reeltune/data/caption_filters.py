"""What is taken out of captions before they are trained: plain words, replacements, regular expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reeltune.errors import ConfigError, listed

_OPTION = "caption_filter_list"
_IS_EXPRESSION = re.compile(r"[\\^$*+?{}\[\]|()]")
"""A full stop alone makes no expression: sentences end with one."""


@dataclass(frozen=True)
class Filter:
    """One entry of the list: wherever the pattern is found, the replacement stands instead."""

    pattern: re.Pattern[str]
    replacement: str = ""


@dataclass(frozen=True)
class Filters:
    """All entries of a list, in its order; none changes nothing."""

    filters: tuple[Filter, ...] = ()

    def apply(self, caption: str) -> str:
        """Return a caption as it is trained; what a removal leaves behind, such as two commas, is tidied up."""
        text = caption
        for one in self.filters:
            text = one.pattern.sub(one.replacement, text)
        return caption if text == caption else _tidy(text)


def read_filters(setting: Sequence[str] | str) -> Filters:
    """Return the filters that caption_filter_list names, in place or in a file.

    Raises ConfigError that names every entry that cannot be used.
    """
    entries, where = (_from_file(Path(setting).expanduser()), setting) if isinstance(setting, str) else (setting, "")
    filters, problems = [], []
    for entry in entries:
        try:
            filters.append(_filter(entry))
        except (re.error, ValueError) as error:
            problems.append(f"{entry!r}: {error}")
    if problems:
        raise ConfigError(listed(f"{_OPTION} {where}".strip(), problems))
    return Filters(tuple(filters))


def _filter(entry: str) -> Filter:
    # A slash of the text itself is written \/.
    parts = re.split(r"(?<!\\)/", entry)
    if parts[0] == "s" and len(parts) > 2:
        return _replacing(parts)
    return Filter(re.compile(entry if _IS_EXPRESSION.search(entry) else re.escape(entry)))


def _replacing(parts: Sequence[str]) -> Filter:
    _, this, that, *rest = parts
    if rest not in ([], [""]):
        raise ValueError(r"is not of the form s/this/that/; a slash inside is written \/")
    one = Filter(re.compile(this.replace(r"\/", "/")), that.replace(r"\/", "/"))
    # A group that the pattern does not have shows here rather than in the middle of a scan.
    one.pattern.sub(one.replacement, "")
    return one


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ([,.;:!?])", r"\1", text)
    text = re.sub(r",(?: ?,)+", ",", text)
    return text.strip(" ,;")


def _from_file(path: Path) -> Sequence[str]:
    read = _FILES.get(path.suffix.lower())
    if read is None:
        raise ConfigError(f"{_OPTION} {path}: a list is needed, or a file that ends with .txt or .json")
    try:
        return read(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_OPTION} {path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{_OPTION} {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{_OPTION} {path}: {error}; a JSON list of strings is needed") from error


def _lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.strip()]


def _json_list(text: str) -> Sequence[str]:
    entries = json.loads(text)
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError("is something else")
    return entries


_FILES: Mapping[str, Callable[[str], Sequence[str]]] = {".txt": _lines, ".json": _json_list}
