"""From files and the command line to a frozen `Config`: merged, checked, all problems listed at once.

Precedence: default < file < command line. A file is JSON; comments and trailing commas are tolerated, and names may
carry the `--` of a command line. Unknown names are an error that names the nearest option.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import json5
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reeltune.config.datasets import DatasetEntry, Datasets, TextEmbeds, VideoDataset
from reeltune.config.root import SECTIONS, Config, all_options, contradictions, other_names
from reeltune.errors import ConfigError, listed


@dataclass(frozen=True)
class Given:
    """One value as the user gave it, and where: `config/config.json, line 9` or `command line`."""

    value: Any
    where: str


@dataclass
class _Problems:
    """What is wrong so far; raised together."""

    lines: list[str] = field(default_factory=list)

    def add(self, name: str, where: str, problem: str) -> None:
        self.lines.append(f"{name} ({where}): {problem}")

    def raise_if_any(self, heading: str) -> None:
        if self.lines:
            raise ConfigError(listed(heading, self.lines))


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> Config:
    """Merge a file with the command line's values and return the frozen configuration.

    Raises ConfigError that lists every problem with its file and line.
    """
    given: dict[str, Given] = {}
    problems = _Problems()
    if path is not None:
        _take(given, read_options(path), problems)
    _take(given, {name: Given(value, "command line") for name, value in overrides.items()}, problems)
    config = _build(given, problems)
    heading = str(path) if path is not None else "configuration"
    problems.raise_if_any(heading)
    assert config is not None
    problems.lines.extend(contradictions(config))
    problems.raise_if_any(heading)
    return config


def load_datasets(path: Path) -> Datasets:
    """Read the dataset file: at least one video dataset and exactly one text-embed store in use.

    Raises ConfigError that lists every problem.
    """
    entries = _read_json(path)
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: a list of datasets is needed: [ {{...}}, {{...}} ]")
    problems = _Problems()
    parsed = [_dataset(index, entry, str(path), problems) for index, entry in enumerate(entries)]
    problems.raise_if_any(str(path))
    used = [entry for entry in parsed if entry is not None and not entry.disabled]
    videos = tuple(entry for entry in used if isinstance(entry, VideoDataset))
    stores = [entry for entry in used if isinstance(entry, TextEmbeds)]
    problems.lines.extend(_set_problems(videos, stores))
    problems.raise_if_any(str(path))
    return Datasets(videos=videos, text=stores[0])


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Read `name=value`, `--name=value`, `--name value` and a bare `--name` (true) from the command line."""
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if not equals and not word.startswith("--"):
            raise ConfigError(f"command line: cannot read {word!r}; options are written name=value or --name value")
        if not equals:
            text = rest.pop(0) if rest and not rest[0].startswith("--") and "=" not in rest[0] else "true"
        values[name.replace("-", "_")] = _value(text)
    return values


def read_options(path: Path) -> dict[str, Given]:
    """Return the options of a configuration file, each with its line."""
    text = _read_text(path)
    options = _read_json(path)
    if not isinstance(options, dict):
        raise ConfigError(f"{path}: an object of options is needed: {{ ... }}")
    return {
        name.removeprefix("--"): Given(value, f"{path}, line {_line_of(name, text)}") for name, value in options.items()
    }


def _take(given: dict[str, Given], new: Mapping[str, Given], problems: _Problems) -> None:
    names = _canonical_names()
    for name, value in new.items():
        if name in names:
            given[names[name]] = value
        else:
            problems.add(name, value.where, f"unknown option{_nearest(name, names)}")


def _canonical_names() -> dict[str, str]:
    return {known: name for _, name, field in all_options() for known in [name, *other_names(field)]}


def _nearest(name: str, names: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; nearest is {close[0]}" if close else ""


def _build(given: Mapping[str, Given], problems: _Problems) -> Config | None:
    sections = {}
    for section, kind in SECTIONS.items():
        values = {name: given[name].value for name in kind.model_fields if name in given}
        try:
            sections[section] = kind.model_validate(values)
        except ValidationError as error:
            for detail in error.errors():
                name = str(detail["loc"][0])
                where = given[name].where if name in given else "not set"
                problems.add(name, where, _explain(detail))
    return Config(**sections) if len(sections) == len(SECTIONS) else None


def _explain(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "this option is needed"
    if detail["type"] == "extra_forbidden":
        return "unknown key"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"is {detail['input']!r}; {message}"


def _dataset(index: int, entry: Any, path: str, problems: _Problems) -> VideoDataset | TextEmbeds | None:
    adapter: TypeAdapter[VideoDataset | TextEmbeds] = TypeAdapter(DatasetEntry)
    label = entry.get("id", f"entry {index + 1}") if isinstance(entry, dict) else f"entry {index + 1}"
    try:
        return adapter.validate_python(entry)
    except ValidationError as error:
        for detail in error.errors():
            # The first element names the kind of dataset, which is not part of the file.
            key = ".".join(str(part) for part in detail["loc"][1:]) or "dataset_type"
            problems.add(f"{label}.{key}", path, _explain(detail))
    return None


def _set_problems(videos: Sequence[VideoDataset], stores: Sequence[TextEmbeds]) -> list[str]:
    found = []
    if not videos:
        found.append('no video dataset is in use: add an entry with "dataset_type": "video"')
    if len(stores) != 1:
        found.append(f'{len(stores)} text-embed stores are in use: exactly one entry with "text_embeds" is needed')
    for name in ("id", "cache_dir_vae"):
        values = [getattr(video, name) for video in videos]
        found += [f"{name} {value!r} is used twice" for value in sorted(set(values)) if values.count(value) > 1]
    found += [
        f"{video.id}: instance_prompt is needed with caption_strategy instanceprompt"
        for video in videos
        if video.caption_strategy == "instanceprompt" and not video.instance_prompt
    ]
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Name the right file, or write it first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _read_json(path: Path) -> Any:
    try:
        return json5.loads(_read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def _line_of(name: str, text: str) -> int:
    match = re.search(rf"""["']?{re.escape(name)}["']?\s*:""", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _value(text: str) -> Any:
    """Read a command line value: JSON where it is JSON, words otherwise."""
    try:
        return json5.loads(text)
    except ValueError:
        return text
