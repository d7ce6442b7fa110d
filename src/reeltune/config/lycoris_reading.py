"""From the JSON of a LyCORIS description to a checked `LycorisConfig`, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reeltune.config.document import Document, KeyPath, read_document
from reeltune.config.json_text import parse_json
from reeltune.config.lycoris import LayerSettings, LycorisConfig, Preset
from reeltune.config.lycoris_checks import MAPS, contradictions, remarks
from reeltune.config.lycoris_keys import ALGO_NAMES, LAYER, OTHER_NAMES, PRESET, TOP, Foreign
from reeltune.config.option import Section, switches_for_numbers, told
from reeltune.config.problems import Problems, explain, nearest, shortened
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

OPTION = "lycoris_config"
WHOLE_FACTOR_DIM = 4
"""Rank where none is given, as in lycoris: with full_matrix LoKr does not read it."""


@dataclass
class Reading:
    """One description while it is read. document: None for an object that is in no file of its own.

    as_written: by the path of a key under its own name, its path as it was written.
    """

    document: Document | None
    problems: Problems
    notes: list[Note] = field(default_factory=list)
    as_written: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def problem(self, key: KeyPath, text: str) -> None:
        written = self.as_written.get(key, key)
        where = OPTION if self.document is None else self.document.where(written)
        self.problems.add(".".join(map(str, written)), where, text)

    def note(self, kind: Any, key: KeyPath, text: str) -> None:
        self.notes.append(Note(kind, ".".join((OPTION, *map(str, self.as_written.get(key, key)))), text))


def read_lycoris(value: str | dict[str, Any]) -> tuple[LycorisConfig, list[Note]]:
    """Return what a description says, and notes of what in it changes nothing."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _written_out(value)
    document = read_document(Path(value)) if isinstance(value, str) else None
    content = document.content if document else value
    name = str(document.path) if document else OPTION
    if not isinstance(content, dict):
        raise ConfigError(f'{name}: an object is needed: {{"algo": "lokr", ...}}')
    reading = Reading(document, Problems(name))
    for repeat in document.repeats if document else ():
        reading.problem(repeat.key, f"is also in line {repeat.earlier}; keep one")
    config = _validated(_with_defaults(_own_tree(reading, content)), reading)
    reading.problems.raise_if_any()
    assert config is not None
    for key, text in contradictions(config):
        reading.problem(key, text)
    reading.problems.raise_if_any()
    for kind, key, text in remarks(config):
        # What is only there by default was not meant.
        if key in reading.as_written:
            reading.note(kind, key, text)
    return config, reading.notes


def _written_out(text: str) -> Any:
    """Return what a description on the command line says, given whole instead of the name of its file."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{OPTION} is not JSON: {error}") from error


def _own_tree(reading: Reading, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with the settings of all its objects under their own names, and nothing else."""
    own = _own_keys(reading, (), content, LycorisConfig, TOP)
    preset = own.get("apply_preset")
    if not isinstance(preset, dict):
        return own
    inside = _own_keys(reading, ("apply_preset",), preset, Preset, PRESET)
    for name in MAPS:
        if isinstance(inside.get(name), dict):
            inside[name] = {
                entry: _own_keys(reading, ("apply_preset", name, entry), settings, LayerSettings, LAYER)
                if isinstance(settings, dict)
                else settings
                for entry, settings in inside[name].items()
            }
    return {**own, "apply_preset": inside}


def _own_keys(
    reading: Reading, above: KeyPath, content: Mapping[str, Any], kind: type[Section], foreign: Foreign
) -> dict[str, Any]:
    """Return one object's settings under their own names; other keys are noted or become problems."""
    names = {also: name for name, declared in kind.model_fields.items() for also in _also(declared)}
    names |= {also: name for also, name in OTHER_NAMES.items() if name in kind.model_fields}
    found: dict[str, Any] = {}
    for written, value in content.items():
        name, key = names.get(written, written), (*above, written)
        if name in kind.model_fields and name in found:
            reading.problem(key, f"is given twice, as {reading.as_written[(*above, name)][-1]} too; keep one")
        elif name in kind.model_fields:
            reading.as_written[*above, name] = key
            if value is not None:
                found[name] = _known_algo(value) if name == "algo" else value
        elif name in foreign.inert:
            reading.note("inert", key, foreign.inert[name])
        elif name in foreign.only:
            _check_only(reading, key, value, *foreign.only[name])
        else:
            reading.problem(key, f"unknown key{nearest(written, [*kind.model_fields, *names, *foreign.inert])}")
    return found


def _also(declared: Any) -> tuple[str, ...]:
    return tuple(told(declared, "also")) if isinstance(declared.json_schema_extra, dict) else ()


def _known_algo(value: Any) -> Any:
    return ALGO_NAMES.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _check_only(reading: Reading, key: KeyPath, value: Any, only: Any, otherwise: str) -> None:
    if str(value).lower() == str(only).lower() or value is None:
        reading.note("inert", key, "is so in any case")
    else:
        reading.problem(key, f"is {shortened(value)}, which is not possible: {otherwise}")


def _with_defaults(content: dict[str, Any]) -> dict[str, Any]:
    whole = str(content.get("full_matrix")).lower() in ("true", "1")
    return {"linear_dim": WHOLE_FACTOR_DIM, **content} if whole else content


def _validated(content: dict[str, Any], reading: Reading) -> LycorisConfig | None:
    for key, kind, inner in _objects(content):
        for path in switches_for_numbers(kind, inner):
            reading.problem((*key, *path), "is true or false; a number is needed")
    try:
        return LycorisConfig.model_validate(content)
    except ValidationError as error:
        for key, details in groupby(error.errors(), key=lambda detail: detail["loc"]):
            reading.problem(tuple(key), explain(list(details)))
    return None


def _objects(content: Mapping[str, Any]) -> Iterator[tuple[KeyPath, type[Section], Mapping[str, Any]]]:
    """Yield the objects that hold settings of layers: the description itself, and the entries of the maps."""
    yield (), LycorisConfig, {name: value for name, value in content.items() if name != "apply_preset"}
    preset = content.get("apply_preset")
    for name in MAPS:
        entries = preset.get(name) if isinstance(preset, dict) else None
        for entry, settings in entries.items() if isinstance(entries, dict) else ():
            if isinstance(settings, dict):
                yield ("apply_preset", name, entry), LayerSettings, settings
