"""From the names that a source uses to the options' own: other names, opposites, and keys of other trainers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reeltune.config.foreign import INERT, NOT_YET
from reeltune.config.problems import Problems, unknown
from reeltune.config.root import all_options, canonical_names, opposite_names
from reeltune.contracts.notes import Note


@dataclass(frozen=True)
class Given:
    """One value as the user gave it, and where: `config/config.json, line 9` or `command line`."""

    value: Any
    where: str


def by_own_name(new: Iterable[tuple[str, Given]], problems: Problems, notes: list[Note]) -> dict[str, Given]:
    """Return what one source gives; of two names of one option, neither may win silently.

    Names that are no options are problems, or notes where nothing depends on them.
    """
    names, opposites = canonical_names(), opposite_names()
    found: dict[str, tuple[str, Given]] = {}
    for name, value in new:
        own = names.get(name)
        if own is None:
            _not_ours(name, value, problems, notes)
        elif own in found:
            earlier, first = found[own]
            problems.add(name, value.where, f"is the same option as {earlier} ({first.where}); keep one")
        else:
            found[own] = (name, _inverted(value) if name in opposites else value)
    return {own: value for own, (_, value) in found.items()}


def texts_read_as_switches(given: Mapping[str, Given]) -> list[Note]:
    """Return a note that names the switches that were written as texts, if any."""
    switches = {name for _, name, field in all_options() if field.annotation is bool}
    names = [name for name, one in given.items() if name in switches and isinstance(one.value, str)]
    what = "are texts" if len(names) > 1 else "is a text"
    return [Note("trap", ", ".join(names), f'{what} ("true" in quotes); read as true or false')] if names else []


BASE = "pretrained_model_name_or_path"
PARTS = (
    "pretrained_t5_model_name_or_path",
    "pretrained_vae_model_name_or_path",
    "pretrained_transformer_model_name_or_path",
)
"""Options that often repeat where the base model is."""


def follow_base(given: Mapping[str, Given], later: Mapping[str, Given], notes: list[Note]) -> dict[str, Given]:
    """Return one source's values with a later one's over them; a part that repeats the base follows the base.

    Otherwise another base on the command line would be mixed with parts of the one that the file names.
    """
    merged = dict(given) | dict(later)
    if BASE not in given or BASE not in later:
        return merged
    for name in PARTS:
        if name in given and name not in later and given[name].value == given[BASE].value:
            merged[name] = later[BASE]
            notes.append(Note("fact", name, f"repeats {BASE} in the file, and follows it to {later[BASE].value}"))
    return merged


def _not_ours(name: str, value: Given, problems: Problems, notes: list[Note]) -> None:
    if name in INERT:
        notes.append(Note("inert", name, INERT[name]))
    else:
        problems.add(name, value.where, unknown(name, canonical_names(), elsewhere=NOT_YET, noun="option"))


def _inverted(given: Given) -> Given:
    try:
        return replace(given, value=not TypeAdapter(bool).validate_python(given.value))
    except ValidationError:
        return given  # what is no switch is a problem of the option itself
