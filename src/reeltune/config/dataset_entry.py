"""One entry of the dataset file, from JSON to a checked record: other names, defaults, words in braces, problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import groupby
from types import NoneType
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reeltune.config.dataset_checks import findings
from reeltune.config.datasets import (
    KINDS,
    KINDS_NOT_YET,
    ClipDataset,
    DatasetEntry,
    MediaDataset,
    TextEmbeds,
    VideoDataset,
    VideoOptions,
)
from reeltune.config.document import Document, KeyPath
from reeltune.config.foreign import (
    DATASET_INERT,
    DATASET_INERT_BY_KIND,
    DATASET_NOT_YET,
    HUB_INERT,
    HUB_NOT_YET,
)
from reeltune.config.masks import MaskDataset
from reeltune.config.option import Section, switches_for_numbers, told
from reeltune.config.problems import Problems, explain, unknown
from reeltune.contracts.notes import Note

Entry = ClipDataset | MaskDataset | TextEmbeds

OWN_CAPTIONS: Mapping[str, str] = {"csv": "csv", "huggingface": "huggingface"}
"""Sources that bring captions of their own, which are then the default."""

SAME_VALUES: Mapping[str, Mapping[str, str]] = {"crop_style": {"centre": "center"}}
"""By key, other spellings of its values."""


def read_entry(
    document: Document, index: int, problems: Problems, notes: list[Note], words: Mapping[str, str]
) -> Entry | None:
    """Return one entry, or None where it has problems, which are added; what changes nothing is noted.

    words: what stands for what in braces, beside {id}.
    """
    adapter: TypeAdapter[Entry] = TypeAdapter(DatasetEntry)
    content = _renamed(_without_inert(document, index, problems, notes), document, index, problems)
    if isinstance(content, dict):
        for path in switches_for_numbers(_kind(content), content):
            problems.add(name_of(document, (index, *path)), document.where((index, *path)), "a number is needed")
    try:
        entry = adapter.validate_python(_filled_in(_with_defaults(content), words))
    except ValidationError as error:
        for key, details in _by_key(document, index, error.errors()):
            problems.add(name_of(document, key), document.where(key), _problem(list(details), str(key[-1])))
        return None
    if isinstance(entry, MediaDataset) and not entry.disabled:
        for path, problem in findings(entry):
            problems.add(name_of(document, (index, *path)), document.where((index, *path)), problem)
    return entry


def name_of(document: Document, key: KeyPath) -> str:
    """Return a key for people: `my-clips.video.fps`, or `entry 2.id` where the dataset has no id."""
    entry = document.content[key[0]]
    label = entry.get("id") if isinstance(entry, dict) else None
    return ".".join([str(label or f"entry {int(key[0]) + 1}"), *(str(part) for part in key[1:])])


def _without_inert(document: Document, index: int, problems: Problems, notes: list[Note]) -> Any:
    """Return an entry without the keys that change nothing, each of which is noted."""
    content = document.content[index]
    if not isinstance(content, dict):
        return content
    kind = _kind(content)
    reasons = {**DATASET_INERT, **DATASET_INERT_BY_KIND.get(kind.model_fields["dataset_type"].default, {})}
    inert = [name for name in content if name in reasons and name not in kind.model_fields]
    notes += [Note("inert", name_of(document, (index, name)), reasons[name]) for name in inert]
    if isinstance(hub := content.get("huggingface"), dict):
        inert.append("huggingface")
        _look_into_hub(document, (index, "huggingface"), hub, problems, notes)
    return {name: value for name, value in content.items() if name not in inert}


def _look_into_hub(
    document: Document, key: KeyPath, hub: Mapping[str, Any], problems: Problems, notes: list[Note]
) -> None:
    for name in hub:
        inner = (*key, name)
        if name in HUB_INERT:
            notes.append(Note("inert", name_of(document, inner), HUB_INERT[name]))
        else:
            text = unknown(name, HUB_INERT, elsewhere=HUB_NOT_YET, noun="key")
            problems.add(name_of(document, inner), document.where(inner), text)


def _renamed(content: Any, document: Document, index: int, problems: Problems) -> Any:
    """Return an entry with its keys under their own names; of two names of one key, neither may win silently."""
    if not isinstance(content, dict):
        return content
    own = {also: name for name, field in _kind(content).model_fields.items() for also in told(field, "also")}
    for also, name in own.items():
        if also in content and name in content:
            problems.add(name_of(document, (index, also)), document.where((index, also)), f"means {name}; keep one")
    return {own.get(name, name): _own_spelling(name, value) for name, value in content.items()}


def _own_spelling(name: str, value: Any) -> Any:
    return SAME_VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value


def _with_defaults(content: Any) -> Any:
    """Return an entry with the defaults that follow from what else it says."""
    if not isinstance(content, dict):
        return content
    kind = _kind(content)
    places = {
        name: kind.model_fields[name].default for name in ("cache_dir_vae", "cache_dir") if name in kind.model_fields
    }
    if issubclass(kind, MediaDataset) and str(content.get("type")) in OWN_CAPTIONS:
        places["caption_strategy"] = OWN_CAPTIONS[str(content["type"])]
    return {**places, **content}


def _filled_in(content: Any, words: Mapping[str, str]) -> Any:
    """Return an entry with the words that stand in braces replaced."""
    own = {"id": str(content.get("id"))} if isinstance(content, dict) else {}
    return _replaced(content, {f"{{{name}}}": word for name, word in {**words, **own}.items()})


def _replaced(value: Any, words: Mapping[str, str]) -> Any:
    match value:
        case str():
            return reduce(lambda text, word: text.replace(word, words[word]), words, value)
        case dict():
            return {key: _replaced(item, words) for key, item in value.items()}
        case list():
            return [_replaced(item, words) for item in value]
    return value


def _problem(details: list[ErrorDetails], name: str) -> str:
    if details[0]["type"] == "union_tag_invalid":
        tag = str(details[0].get("ctx", {}).get("tag"))
        there_is = KINDS_NOT_YET.get(tag)
        return f"is {tag!r}, which is not possible yet: {there_is}" if there_is else explain(details)
    fields = _fields_around(details[0])
    if details[0]["type"] == "extra_forbidden":
        return _misplaced(name) or unknown(name, fields, elsewhere=DATASET_NOT_YET, noun="key")
    if name in fields and told(fields[name], "secret"):
        return "a text is needed; the value may be secret, and is not shown"
    return explain(details, told(fields[name], "refused") if name in fields else {})


def _misplaced(name: str) -> str:
    """Say where a key belongs that is none of its entry and one of another; nothing where it is none of any."""
    if name in VideoOptions.model_fields:
        return f'belongs inside "video": {{"{name}": ...}} of clips'
    homes = [dataset_type for dataset_type, kind in KINDS.items() if name in kind.model_fields]
    return f"belongs to entries with dataset_type {' or '.join(homes)}" if homes else ""


def _by_key(document: Document, index: int, errors: list[ErrorDetails]) -> Iterator[tuple[KeyPath, list[ErrorDetails]]]:
    """Yield each key that has errors, with them; of a value that may be an object or not, what is wrong inside it."""
    found = [(_key(document, index, detail), detail) for detail in errors]
    keys = {key for key, _ in found}
    for key, several in groupby(found, key=lambda one: one[0]):
        if not any(len(other) > len(key) and other[: len(key)] == key for other in keys):
            yield key, [detail for _, detail in several]


def _key(document: Document, index: int, detail: ErrorDetails) -> KeyPath:
    """Return the key that pydantic means: its path names the kind of dataset first, and branches of a type last."""
    if detail["type"] == "union_tag_invalid":
        return (index, "dataset_type")
    key: KeyPath = (index,)
    for part in detail["loc"][1:]:
        # What is no key of the file is the name of a branch, but for a key that is missing at the end.
        if (*key, part) in document.lines or (detail["type"] == "missing" and part == detail["loc"][-1]):
            key = (*key, part)
    return key


def _kind(content: Mapping[str, Any]) -> Any:
    return KINDS.get(str(content.get("dataset_type", "video")), VideoDataset)


def _fields_around(detail: ErrorDetails) -> Mapping[str, Any]:
    """Return the declarations where the key of an error stands."""
    kind: Any = KINDS.get(str(detail["loc"][0])) if detail["loc"] else None
    if kind is None:
        return {}
    for part in detail["loc"][1:-1]:
        inner = next(_sections(kind.model_fields[part].annotation), None) if part in kind.model_fields else None
        kind = inner or kind
    return kind.model_fields


def _sections(declared: Any) -> Iterator[type[Section]]:
    """Yield the kinds of objects that a value may be, or may hold."""
    if isinstance(declared, type) and issubclass(declared, Section):
        yield declared
    for inner in get_args(declared):
        if inner is not NoneType:
            yield from _sections(inner)
