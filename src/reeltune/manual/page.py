"""What `reeltune options` prints: the list of all options, one explained in full, what a search finds, a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reeltune.config.foreign import (
    DATASET_INERT,
    DATASET_NOT_YET,
    HUB_INERT,
    HUB_NOT_YET,
    INERT,
    NOT_YET,
)
from reeltune.config.problems import nearest
from reeltune.errors import ConfigError
from reeltune.manual.describe import CONFIGURATION, DATASET_FILE, UNSET, Described, all_described, typed

NARROW = 40
"""Columns of a sentence below which it is not worth showing."""

REGENERATE = "reeltune options --markdown > docs/options.md"


def overview(width: int) -> str:
    """Return all options by section in aligned columns: name, default, sentence as far as the line goes."""
    return "\n".join([*_columns(all_described(), width), "", "reeltune options WORDS explains or finds some of them."])


def answer(words: Sequence[str], width: int) -> str:
    """Return what there is to say about words: each a name, or else all of them searched for together.

    Raises ConfigError when nothing fits.
    """
    names = [_plain(word) for word in words]
    exact = [_explained(name) for name in names]
    if all(exact):
        return "\n\n".join(exact)
    texts = [word.lower().replace("-", "_") for word in words]
    found = [one for one in all_described() if _fits(_haystack(one), texts)]
    elsewhere = [line for name, line in _foreign() if _fits(f"{name} {line}", texts)]
    if not found and not elsewhere:
        known = [one.name for one in all_described()]
        raise ConfigError(
            f"no option has {' and '.join(map(repr, words))} in its name or description{nearest(names[0], known)}. "
            "`reeltune options` lists all."
        )
    return "\n".join([*_columns(found, width), *([""] if found and elsewhere else []), *elsewhere])


def markdown() -> str:
    """Return the page docs/options.md."""
    head = [
        "# Options",
        "",
        f"Made from the declarations by `{REGENERATE}`; a test holds it to them.",
        "",
        "Options stand in `config/config.json`, with or without `--` before their names, or on the command line as "
        "`name=value` or `--name value`, which wins. `reeltune options WORDS` finds and explains them in a terminal; "
        "`reeltune options --json` prints a JSON schema for editors. Keys of SimpleTuner that are no options here "
        "are in [compatibility.md](compatibility.md).",
    ]
    parts = [_part(title, list(group)) for title, group in groupby(all_described(), key=lambda one: one.group)]
    return "\n".join([*head, *(line for part in parts for line in part)]) + "\n"


def _columns(several: Sequence[Described], width: int) -> Iterator[str]:
    """Yield aligned lines, each group under its title."""
    if not several:
        return
    name_width = max(len(one.name) for one in several)
    default_width = min(16, max(len(one.default) for one in several))
    rest = max(NARROW, width - name_width - default_width - 6)
    for place, ((title, file), group) in enumerate(groupby(several, key=lambda one: (one.group, one.file))):
        yield from [""] if place else []
        yield title if file == CONFIGURATION else f"{title} ({file})"
        for one in group:
            default = _cut(one.default, default_width)
            yield f"  {one.name:{name_width}}  {default:{default_width}}  {_cut(one.sentence, rest)}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3].rstrip(' ,;:')}..."


def _explained(name: str) -> str:
    """Return all that is known of an exact name, in every file that has it; nothing for a name of none."""
    own = [
        "\n".join(_card(one))
        for one in all_described()
        if name in (one.name, one.name.rpartition(".")[2], *one.also, *one.opposite)
    ]
    foreign = [line for known, line in _foreign() if known == name] if not own else []
    return "\n\n".join([*own, *foreign])


def _card(one: Described) -> Iterator[str]:
    yield f"{one.name}  ({one.file}: {one.group})"
    yield f"  {one.sentence}"
    for label, text in _facts(one):
        yield f"  {label:<13} {text}"


def _facts(one: Described) -> Iterator[tuple[str, str]]:
    yield "value", one.value
    if one.choices and "words" in one.value:
        yield "words", ", ".join(one.choices)
    yield "default", one.default
    if one.unit:
        yield "unit", one.unit
    if one.example:
        yield "example", f'"{one.name.rpartition(".")[2]}": {one.example}'
    if line := typed(one):
        yield "command line", line
    if one.also:
        yield "also called", ", ".join(one.also)
    if one.opposite:
        yield "opposite", ", ".join(one.opposite)
    for values, reason in _refusals(one):
        yield "not taken", f"{', '.join(values)}: {reason}"


def _foreign() -> Iterator[tuple[str, str]]:
    """Yield (name, sentence) for the keys of other trainers that are no options here."""
    own = {known for one in all_described() for known in (one.name, *one.also, *one.opposite)}
    tables = (
        (CONFIGURATION, INERT, NOT_YET),
        (DATASET_FILE, DATASET_INERT, DATASET_NOT_YET),
        (f"{DATASET_FILE}, inside huggingface", HUB_INERT, HUB_NOT_YET),
    )
    for file, inert, missing in tables:
        for name, reason in inert.items():
            if name not in own:
                yield name, f"{name} ({file}) changes nothing here: {reason}"
        for name, reason in missing.items():
            yield name, f"{name} ({file}) is not here: {reason}"


def _haystack(one: Described) -> str:
    return " ".join([one.name, one.group, one.sentence, *one.choices, *one.also, *one.opposite])


def _fits(text: str, words: Sequence[str]) -> bool:
    plain = text.lower().replace("-", "_")
    return all(word in plain for word in words)


def _plain(word: str) -> str:
    return word.lstrip("-").partition("=")[0].replace("-", "_")


def _part(title: str, options: Sequence[Described]) -> Iterator[str]:
    yield from ["", f"## {title}", ""]
    if options[0].file != CONFIGURATION:
        yield from [f"Keys of the {options[0].file}.", ""]
    yield from ["| name | value | default | what it does |", "|---|---|---|---|"]
    for one in options:
        yield _row(f"`{one.name}`", _value_cell(one), _default_cell(one), " ".join(_what(one)))


def _what(one: Described) -> Iterator[str]:
    yield one.sentence
    if one.choices and "words" in one.value:
        yield f"Words: {', '.join(f'`{choice}`' for choice in one.choices)}."
    if one.example:
        yield f"Example: `{one.example}`."
    if one.also:
        yield f"Also called {', '.join(f'`{name}`' for name in one.also)}."
    if one.opposite:
        yield f"Its opposite is {', '.join(f'`{name}`' for name in one.opposite)}."
    for values, reason in _refusals(one):
        yield f"Not taken: {', '.join(f'`{value}`' for value in values)} ({reason})."


def _refusals(one: Described) -> Iterator[tuple[list[str], str]]:
    """Yield values that are not taken, with the reason that they share."""
    for reason, values in groupby(one.refused.items(), key=lambda item: item[1]):
        yield [value for value, _ in values], reason


def _value_cell(one: Described) -> str:
    return f"{one.value}; {one.unit}" if one.unit else one.value


def _default_cell(one: Described) -> str:
    return "needed" if one.default.startswith("(needed") else "unset" if one.default == UNSET else f"`{one.default}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
