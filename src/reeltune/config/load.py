"""From files and the command line to a frozen `Config`: merged, checked, all problems of all files listed at once.

Precedence: default < file < file of a named environment < command line. A file is JSON; comments and trailing commas
are tolerated, and names may carry the `--` of a command line. Unknown names are an error that names the nearest option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from reeltune.config.adapter_files import problems_of_adapter_files
from reeltune.config.contradictions import contradictions, contradictions_with_data
from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import Datasets
from reeltune.config.document import Document, read_document
from reeltune.config.inert import inert_settings
from reeltune.config.names import Given, by_own_name, follow_base, texts_read_as_switches
from reeltune.config.option import switches_for_numbers, told
from reeltune.config.places import check_place
from reeltune.config.problems import Problems, explain, shortened
from reeltune.config.prompts import load_prompts
from reeltune.config.root import SECTIONS, Config, all_options
from reeltune.config.webhooks import is_inline, load_webhooks
from reeltune.config.words import read_value
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Loaded:
    """What a run was asked to do.

    notes: what was understood differently from what was written. files: the configuration files that were read.
    """

    config: Config
    datasets: Datasets
    notes: tuple[Note, ...] = ()
    files: tuple[Path, ...] = ()


def load_run(
    paths: Sequence[Path], overrides: Mapping[str, Any], *, find_datasets: Callable[[str], tuple[Path, list[Note]]]
) -> Loaded:
    """Load the configuration and the files that it names.

    paths, overrides: as for `load_config`.
    find_datasets: from data_backend_config to the file, with notes where it is another one than was named.
    Raises ConfigError that lists the problems of all files.
    """
    notes: list[Note] = []
    given, problems = _gather(paths, overrides, notes)
    failures: list[str] = []
    config = _tried(lambda: _finish(given, problems), failures)
    datasets = _tried(lambda: _find_and_load(given, find_datasets, notes), failures)
    _check_side_files(given, failures)
    failures += problems_of_adapter_files(given)
    if config is not None and datasets is not None:
        problems.lines.extend(contradictions_with_data(config, datasets))
        _tried(problems.raise_if_any, failures)
    if failures:
        raise ConfigError("\n".join(failures))
    assert config is not None
    assert datasets is not None
    return Loaded(config, datasets, (*notes, *inert_settings(config, datasets)), tuple(paths))


def _find_and_load(
    given: Mapping[str, Given], find_datasets: Callable[[str], tuple[Path, list[Note]]], notes: list[Note]
) -> Datasets | None:
    """Load the dataset file; None where the configuration names none, which is a problem of its own."""
    name = _file_named(given, "data_backend_config")
    if not name:
        return None
    path, found_notes = find_datasets(name)
    notes += found_notes
    if not path.exists():
        raise ConfigError(
            f"data_backend_config ({given['data_backend_config'].where}): {path} does not exist. Name the file that "
            "lists your clips, or let `reeltune configure` write one."
        )
    return load_datasets(path, notes, **_words(given))


def _words(given: Mapping[str, Given]) -> dict[str, str]:
    """Return what a dataset file may refer to."""
    names = {"cache_dir": "cache_dir", "model_family": "family"}
    return {
        word: value for name, word in names.items() if name in given and isinstance(value := given[name].value, str)
    }


def _check_side_files(given: Mapping[str, Given], failures: list[str]) -> None:
    """Note what is wrong with the file of prompts and that of webhooks; one of webhooks may be missing."""
    if library := _file_named(given, "user_prompt_library"):
        _tried(lambda: load_prompts(Path(library).expanduser()), failures)
    webhooks = _file_named(given, "webhook_config")
    if webhooks and not is_inline(webhooks) and Path(webhooks).expanduser().is_file():
        _tried(lambda: load_webhooks(Path(webhooks).expanduser()), failures)


def load_config(paths: Sequence[Path], overrides: Mapping[str, Any]) -> Config:
    """Merge files, later ones over earlier ones, with the command line's values; return the frozen configuration.

    overrides: texts are read as the option's declaration says, other values stand.
    Raises ConfigError that lists every problem with its file and line.
    """
    given, problems = _gather(paths, overrides, [])
    return _finish(given, problems)


def read_options(document: Document) -> list[tuple[str, Given]]:
    """Return the options of a configuration file in order, each with its line."""
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.path}: an object of options is needed: {{ ... }}")
    return [
        (name.removeprefix("--"), Given(value, document.where((name,)))) for name, value in document.content.items()
    ]


def _gather(
    paths: Sequence[Path], overrides: Mapping[str, Any], notes: list[Note]
) -> tuple[dict[str, Given], Problems]:
    """Return what was given, by the options' own names, and what was wrong with the names."""
    problems = Problems(str(paths[-1]) if paths else "configuration")
    given: dict[str, Given] = {}
    for path in paths:
        given = follow_base(given, _from_file(path, problems, notes), notes)
    notes += texts_read_as_switches(given)
    typed = by_own_name([(name, Given(value, "command line")) for name, value in overrides.items()], problems, notes)
    return follow_base(given, _read_typed(typed), notes), problems


def _from_file(path: Path, problems: Problems, notes: list[Note]) -> dict[str, Given]:
    document = read_document(path)
    for repeat in document.repeats:
        name = ".".join(str(part) for part in repeat.key)
        problems.add(name.removeprefix("--"), document.where(repeat.key), f"is also in line {repeat.earlier}; keep one")
    return by_own_name(read_options(document), problems, notes)


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
        for name, *_ in switches_for_numbers(kind, values):
            problems.add(name, given[name].where, f"is {shortened(values.pop(name))}; a number is needed")
        try:
            sections[section] = kind.model_validate(values)
        except ValidationError as error:
            for name, details in groupby(error.errors(), key=lambda detail: str(detail["loc"][0])):
                where = given[name].where if name in given else "not set"
                problems.add(name, where, _explained(list(details), kind.model_fields[name]))
    return Config(**sections) if len(sections) == len(SECTIONS) else None


def _explained(details: list[ErrorDetails], field: FieldInfo) -> str:
    if told(field, "secret"):
        own = [str(detail["ctx"]["error"]) for detail in details if detail["type"] == "value_error" and "ctx" in detail]
        return own[0] if own else "has another form than is needed; the value may be secret, and is not shown"
    return explain(details, told(field, "refused"))


def _file_named(given: Mapping[str, Given], option: str) -> str | None:
    """Return the file that an option names; None where it names none, or is wrong and a problem already."""
    value = given[option].value if option in given else None
    try:
        return check_place(value) if isinstance(value, str) and value else None
    except ValueError:
        return None


def _tried(load: Callable[[], Result], failures: list[str]) -> Result | None:
    """Return what `load` gives, or note why there is nothing."""
    try:
        return load()
    except ConfigError as error:
        failures.append(str(error))
        return None
