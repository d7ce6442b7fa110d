"""What becomes of a SimpleTuner configuration: the page docs/compatibility.md, made from the loader and the tables.

The keys of its Wan 2.1 quickstart are given to the real loader; a key is inert because the loader says so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reeltune.config.foreign import (
    DATASET_INERT,
    DATASET_NOT_YET,
    HUB_INERT,
    HUB_NOT_YET,
    INERT,
    NOT_YET,
)
from reeltune.config.inert import inert_settings
from reeltune.config.load import Loaded, load_run
from reeltune.errors import ConfigError
from reeltune.manual.compatibility_rows import CLIPS, OWN, QUICKSTART, SNIPPETS, VIDEO_KEYS, File, Row, Snippet
from reeltune.manual.describe import CONFIGURATION, DATASET_FILE, Described, all_described

REGENERATE = "reeltune options --compatibility > docs/compatibility.md"

EFFECTIVE, NOTED, INERT_HERE, MISSING = "effective", "effective, with a note", "inert", "missing here"

_HEAD = f"""\
# SimpleTuner's options in reeltune

What becomes of the configuration in SimpleTuner's Wan 2.1 quickstart (version 3.0.0), and of that trainer's other
options. Made by `{REGENERATE}`; a test holds it to the code.

- **{EFFECTIVE}**: does what its name says.
- **{NOTED}**: does it, and the loader says in one line how the value was read.
- **{INERT_HERE}**: accepted; changes nothing in this configuration, and the run says so with the reason.
- **{MISSING}**: refused before anything starts, with what there is instead.

The plan (`reeltune plan`) adds what depends on the clips and on the machine. What is marked *Deepened later* works as
said and will do more."""


def markdown() -> str:
    """Return the page."""
    parts = [
        [_HEAD],
        *_quickstart_parts(),
        *(_snippet_part(snippet) for snippet in SNIPPETS),
        *_other_parts(),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def statuses(rows: Sequence[Row]) -> list[str]:
    """Return the status of each row, as the loader gives it when all that can be loaded are loaded together."""
    accepted = [row for row in rows if _loaded([row])]
    loaded = _loaded(accepted)
    assert loaded, rows
    inert = {note.about for note in inert_settings(loaded.config, loaded.datasets)}
    inert |= {note.about for note in loaded.notes if note.kind == "inert"}
    noted = {name for note in loaded.notes for name in note.about.split(", ")} - inert
    return [_status(row, inert, noted) if row in accepted else MISSING for row in rows]


def quickstart_files() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the page's configuration and its dataset file."""
    return _files([*QUICKSTART, *CLIPS])


def _status(row: Row, inert: Iterable[str], noted: Iterable[str]) -> str:
    names = {_noted_name(name.removeprefix("--"), row.place) for name in row.given}
    if names & set(inert):
        return INERT_HERE
    return NOTED if names & set(noted) else EFFECTIVE


def _noted_name(name: str, place: File) -> str:
    """Return a key as notes call it."""
    if place == "configuration":
        return name
    return f"{_LEAST[place]['id']}.{'video.' if name in VIDEO_KEYS else ''}{name}"


_LEAST: Mapping[File, Mapping[str, Any]] = {
    "configuration": {
        "data_backend_config": "datasets.json",
        "output_dir": "output/wan",
        "max_train_steps": 1,
        "validation_prompt": "a cat",
    },
    "clips": {"id": "disney-black-and-white", "instance_data_dir": "clips", "cache_dir_vae": "cache/clips"},
    "text": {"id": "text-embeds", "dataset_type": "text_embeds", "cache_dir": "cache/text"},
}
"""What each file needs at least; rows are laid over it."""


def _files(rows: Iterable[Row]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a configuration and a dataset file that hold the rows."""
    places: dict[File, dict[str, Any]] = {place: dict(least) for place, least in _LEAST.items()}
    for row in rows:
        for name, value in row.given.items():
            home = places[row.place].setdefault("video", {}) if name in VIDEO_KEYS else places[row.place]
            home[name] = value
    return places["configuration"], [places["clips"], places["text"]]


def _loaded(rows: Iterable[Row]) -> Loaded | None:
    """Return what the real loader makes of rows; None where it refuses them."""
    configuration, datasets = _files(rows)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        library = place / "prompts.json"
        # The page's file of prompts is the user's own; what is in it does not matter here.
        configuration |= {name: str(library) for name in configuration if name.endswith("user_prompt_library")}
        for path, content in {
            "config.json": configuration,
            "data.json": datasets,
            "prompts.json": {"cat": "a"},
        }.items():
            (place / path).write_text(json.dumps(content), encoding="utf-8")
        try:
            return load_run([place / "config.json"], {}, find_datasets=lambda name: (place / "data.json", []))
        except ConfigError:
            return None


def _quickstart_parts() -> Iterator[list[str]]:
    found = statuses([*QUICKSTART, *CLIPS])
    yield ["## The quickstart's configuration", "", *_table(QUICKSTART, found[: len(QUICKSTART)])]
    yield ["## The quickstart's dataset file", "", *_table(CLIPS, found[len(QUICKSTART) :])]


def _snippet_part(snippet: Snippet) -> list[str]:
    return [f"## {snippet.title}", "", *_table(snippet.rows, statuses(snippet.rows))]


def _table(rows: Sequence[Row], found: Sequence[str]) -> Iterator[str]:
    yield from ["| key = value there | status | what reeltune does |", "|---|---|---|"]
    for row, status in zip(rows, found, strict=True):
        keys = "<br>".join(
            f"`{'video.' if name in VIDEO_KEYS else ''}{name}` = {_shown(value)}" for name, value in row.given.items()
        )
        yield f"| {keys} | {status} | {row.sentence} |"


def _shown(value: Any) -> str:
    if isinstance(value, str) and value.startswith("("):
        return value
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _other_parts() -> Iterator[list[str]]:
    told = {name.removeprefix("--") for row in _all_rows() for name in row.given}
    others = [one for one in all_described() if one.file in (CONFIGURATION, DATASET_FILE) and _key(one) not in told]
    theirs = [one for one in others if _key(one) not in OWN and not one.name.startswith("tread_config.")]
    yield ["## Its other options that work here", "", *_declared(theirs)]
    yield ["## Options that only reeltune has", "", *_declared([one for one in others if _key(one) in OWN])]
    yield ["## Other names of one option", "", *_names()]
    yield ["## Values that are not taken", "", *_refused_values()]
    yield ["## Accepted, and without effect", "", *_by_file(INERT, DATASET_INERT, HUB_INERT)]
    yield ["## Missing here", "", *_by_file(NOT_YET, DATASET_NOT_YET, HUB_NOT_YET)]


def _all_rows() -> list[Row]:
    return [*QUICKSTART, *CLIPS, *(row for snippet in SNIPPETS for row in snippet.rows)]


def _key(one: Described) -> str:
    return one.name.rpartition(".")[2]


def _declared(several: Iterable[Described]) -> Iterator[str]:
    for one in several:
        yield f"- `{one.name}` ({one.file}): {one.sentence}"


def _names() -> Iterator[str]:
    for one in all_described():
        if one.also:
            yield f"- `{one.name}` ({one.file}) is also read as {_quoted(one.also)}."
        if one.opposite:
            yield f"- `{one.name}` ({one.file}) is the opposite of {_quoted(one.opposite)}."


def _refused_values() -> Iterator[str]:
    for one in all_described():
        for value, reason in one.refused.items():
            yield f"- `{one.name}` ({one.file}) `{value}`: {reason}."


def _by_file(*reasons: Mapping[str, str]) -> Iterator[str]:
    for file, some in zip(("configuration", "dataset", "dataset, inside huggingface"), reasons, strict=True):
        yield from _listed(file, some)


def _listed(file: str, reasons: Mapping[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        yield f"- `{name}` ({file}): {reason}."


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
