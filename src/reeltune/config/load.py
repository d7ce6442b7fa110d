"""From files and the command line to a frozen `Config`: merged, checked, all problems listed at once.

Precedence: default < file < command line. A file is JSON; comments and trailing commas are tolerated, and names may
carry the `--` of a command line. Unknown names are an error that names the nearest option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import Datasets
from reeltune.config.document import Document, read_document
from reeltune.config.problems import Problems, explain, nearest
from reeltune.config.root import SECTIONS, Config, all_options, canonical_names, contradictions
from reeltune.config.words import read_value
from reeltune.errors import ConfigError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Given:
    """One value as the user gave it, and where: `config/config.json, line 9` or `command line`."""

    value: Any
    where: str


def load_run(
    path: Path | None, overrides: Mapping[str, Any], *, find_datasets: Callable[[str], Path] = Path
) -> tuple[Config, Datasets]:
    """Load the configuration and the dataset file that it names.

    path, overrides: as for `load_config`.
    find_datasets: from data_backend_config to the file.
    Raises ConfigError that lists the problems of both files.
    """
    given, problems = _gather(path, overrides)
    failures: list[str] = []
    config = _tried(lambda: _finish(given, problems), failures)
    name = given["data_backend_config"].value if "data_backend_config" in given else None
    # A name that is missing or no text is a problem of the configuration; there is no dataset file to look at then.
    datasets = _tried(lambda: load_datasets(find_datasets(name)), failures) if isinstance(name, str) and name else None
    if failures:
        raise ConfigError("\n".join(failures))
    assert config is not None
    assert datasets is not None
    return config, datasets


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> Config:
    """Merge a file with the command line's values and return the frozen configuration.

    overrides: texts are read as the option's declaration says, other values stand.
    Raises ConfigError that lists every problem with its file and line.
    """
    given, problems = _gather(path, overrides)
    return _finish(given, problems)


def read_options(document: Document) -> list[tuple[str, Given]]:
    """Return the options of a configuration file in order, each with its line."""
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.path}: an object of options is needed: {{ ... }}")
    return [
        (name.removeprefix("--"), Given(value, document.where((name,)))) for name, value in document.content.items()
    ]


def _gather(path: Path | None, overrides: Mapping[str, Any]) -> tuple[dict[str, Given], Problems]:
    """Return what was given, by the options' own names, and what was wrong with the names."""
    problems = Problems(str(path) if path is not None else "configuration")
    given: dict[str, Given] = {}
    if path is not None:
        document = read_document(path)
        for repeat in document.repeats:
            name = ".".join(str(part) for part in repeat.key)
            problems.add(
                name.removeprefix("--"), document.where(repeat.key), f"is also in line {repeat.earlier}; keep one"
            )
        given |= _by_own_name(read_options(document), problems)
    typed = _by_own_name([(name, Given(value, "command line")) for name, value in overrides.items()], problems)
    return given | _read_typed(typed), problems


def _by_own_name(new: Iterable[tuple[str, Given]], problems: Problems) -> dict[str, Given]:
    """Return what one source gives; of two names of one option, neither may win silently."""
    names = canonical_names()
    found: dict[str, tuple[str, Given]] = {}
    for name, value in new:
        own = names.get(name)
        if own is None:
            problems.add(name, value.where, f"unknown option{nearest(name, names)}")
        elif own in found:
            earlier, first = found[own]
            problems.add(name, value.where, f"is the same option as {earlier} ({first.where}); keep one")
        else:
            found[own] = (name, value)
    return {own: value for own, (_, value) in found.items()}


def _read_typed(given: Mapping[str, Given]) -> dict[str, Given]:
    declared = {name: field.annotation for _, name, field in all_options()}
    return {
        name: Given(read_value(one.value, declared[name]), one.where) if isinstance(one.value, str) else one
        for name, one in given.items()
    }


def _finish(given: Mapping[str, Given], problems: Problems) -> Config:
    config = _build(given, problems)
    problems.raise_if_any()
    assert config is not None
    problems.lines.extend(contradictions(config))
    problems.raise_if_any()
    return config


def _build(given: Mapping[str, Given], problems: Problems) -> Config | None:
    sections = {}
    for section, kind in SECTIONS.items():
        values = {name: given[name].value for name in kind.model_fields if name in given}
        try:
            sections[section] = kind.model_validate(values)
        except ValidationError as error:
            for name, details in groupby(error.errors(), key=lambda detail: str(detail["loc"][0])):
                problems.add(name, given[name].where if name in given else "not set", explain(list(details)))
    return Config(**sections) if len(sections) == len(SECTIONS) else None


def _tried(load: Callable[[], Result], failures: list[str]) -> Result | None:
    """Return what `load` gives, or note why there is nothing."""
    try:
        return load()
    except ConfigError as error:
        failures.append(str(error))
        return None
