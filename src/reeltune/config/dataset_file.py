"""From the dataset file to checked `Datasets`, each problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reeltune.config.datasets import (
    KINDS,
    KINDS_NOT_YET,
    ClipDataset,
    DatasetEntry,
    Datasets,
    EvalDataset,
    MediaDataset,
    TextEmbeds,
    TrainedDataset,
    VideoDataset,
)
from reeltune.config.document import Document, KeyPath, read_document
from reeltune.config.foreign import DATASET_INERT, DATASET_NOT_YET
from reeltune.config.option import switches_for_numbers, told
from reeltune.config.problems import Problems, explain, unknown
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

Entry = ClipDataset | TextEmbeds

OWN_CAPTIONS = {"csv": "csv", "huggingface": "huggingface"}
"""Sources that bring captions of their own, which are then the default."""


def load_datasets(path: Path, notes: list[Note], *, family: str = "wan", cache_dir: str = "cache") -> Datasets:
    """Read the dataset file: at least one video dataset and exactly one text-embed store in use.

    notes: is added to where a key changes nothing. family, cache_dir: what {model_family} and {cache_dir} in a text
    stand for; {id} is the entry's own.
    Raises ConfigError that lists every problem with its line.
    """
    document = read_document(path)
    if not isinstance(document.content, list):
        raise ConfigError(f"{path}: a list of datasets is needed: [ {{...}}, {{...}} ]")
    problems = Problems(str(path))
    for repeat in document.repeats:
        where = document.where(repeat.key)
        problems.add(_name(document, repeat.key), where, f"is also in line {repeat.earlier}; keep one")
    words = {"model_family": family, "cache_dir": cache_dir}
    parsed = [_entry(document, index, problems, notes, words) for index in range(len(document.content))]
    used = {index: entry for index, entry in enumerate(parsed) if entry is not None and not entry.disabled}
    _check_clips(document, used, problems)
    stores = [entry for entry in used.values() if isinstance(entry, TextEmbeds)]
    trained = tuple(entry for entry in used.values() if isinstance(entry, TrainedDataset))
    # An entry that could not be read may be the one that seems to be missing.
    if None not in parsed:
        problems.lines.extend(_missing_kinds(len(trained), len(stores)))
    problems.raise_if_any()
    held_out = tuple(entry for entry in used.values() if isinstance(entry, EvalDataset))
    return Datasets(trained=trained, text=stores[0], held_out=held_out)


def _entry(
    document: Document, index: int, problems: Problems, notes: list[Note], words: Mapping[str, str]
) -> Entry | None:
    adapter: TypeAdapter[Entry] = TypeAdapter(DatasetEntry)
    content = _renamed(_without_inert(document, index, notes), document, index, problems)
    if isinstance(content, dict):
        for path in switches_for_numbers(_kind(content), content):
            problems.add(_name(document, (index, *path)), document.where((index, *path)), "a number is needed")
    try:
        return adapter.validate_python(_filled_in(_with_defaults(content), words))
    except ValidationError as error:
        for key, details in groupby(error.errors(), key=lambda detail: _key(document, index, detail)):
            problems.add(_name(document, key), document.where(key), _problem(list(details), str(key[-1])))
    return None


def _without_inert(document: Document, index: int, notes: list[Note]) -> Any:
    """Return an entry without the keys that change nothing, each of which is noted."""
    content = document.content[index]
    if not isinstance(content, dict):
        return content
    known = _kind(content).model_fields
    inert = [name for name in content if name in DATASET_INERT and name not in known]
    notes += [Note("inert", _name(document, (index, name)), DATASET_INERT[name]) for name in inert]
    return {name: value for name, value in content.items() if name not in inert}


def _renamed(content: Any, document: Document, index: int, problems: Problems) -> Any:
    """Return an entry with its keys under their own names; of two names of one key, neither may win silently."""
    if not isinstance(content, dict):
        return content
    own = {also: name for name, field in _kind(content).model_fields.items() for also in told(field, "also")}
    for also, name in own.items():
        if also in content and name in content:
            problems.add(_name(document, (index, also)), document.where((index, also)), f"means {name}; keep one")
    return {own.get(name, name): value for name, value in content.items()}


def _with_defaults(content: Any) -> Any:
    """Return an entry with the defaults that follow from what else it says."""
    if not isinstance(content, dict):
        return content
    kind = _kind(content)
    places = {
        name: kind.model_fields[name].default for name in ("cache_dir_vae", "cache_dir") if name in kind.model_fields
    }
    if issubclass(kind, MediaDataset) and content.get("type") in OWN_CAPTIONS:
        places["caption_strategy"] = OWN_CAPTIONS[content["type"]]
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
        return unknown(name, fields, elsewhere=DATASET_NOT_YET, noun="key")
    return explain(details, told(fields[name], "refused") if name in fields else {})


def _key(document: Document, index: int, detail: ErrorDetails) -> KeyPath:
    """Return the key that pydantic means: its path names the kind of dataset first, and branches of a type last."""
    if detail["type"] == "union_tag_invalid":
        return (index, "dataset_type")
    key = (index, *detail["loc"][1:])
    return key if detail["type"] == "missing" else document.known(key)


def _kind(content: Mapping[str, Any]) -> Any:
    return KINDS.get(str(content.get("dataset_type", "video")), VideoDataset)


def _fields_around(detail: ErrorDetails) -> Mapping[str, Any]:
    """Return the declarations where the key of an error stands."""
    kind: Any = KINDS.get(str(detail["loc"][0])) if detail["loc"] else None
    if kind is None:
        return {}
    for part in detail["loc"][1:-1]:
        inner = kind.model_fields[part].annotation if part in kind.model_fields else None
        if not hasattr(inner, "model_fields"):
            break
        kind = inner
    return kind.model_fields


def _name(document: Document, key: KeyPath) -> str:
    """Return a key for people: `my-clips.video.fps`, or `entry 2.id` where the dataset has no id."""
    entry = document.content[key[0]]
    label = entry.get("id") if isinstance(entry, dict) else None
    return ".".join([str(label or f"entry {int(key[0]) + 1}"), *(str(part) for part in key[1:])])


def _check_clips(document: Document, used: Mapping[int, Entry], problems: Problems) -> None:
    _check_unique(document, {index: ("id", entry.id) for index, entry in used.items()}, problems)
    _check_unique(document, {index: _cache_folder(entry) for index, entry in used.items()}, problems)
    for index, entry in used.items():
        if isinstance(entry, MediaDataset) and entry.caption_strategy == "instanceprompt" and not entry.instance_prompt:
            key = (index, "instance_prompt")
            problems.add(_name(document, key), document.where(key), "is needed with caption_strategy instanceprompt")


def _cache_folder(entry: Entry) -> tuple[str, str]:
    """Return the key that names an entry's cache folder, and the folder."""
    if isinstance(entry, TextEmbeds):
        return "cache_dir", entry.cache_dir
    return "cache_dir_vae", entry.cache_dir_vae


def _check_unique(document: Document, values: Mapping[int, tuple[str, str]], problems: Problems) -> None:
    """Add a problem for each entry whose value another one has. values: by entry, the key and what it says."""
    first: dict[str, int] = {}
    for index, (name, value) in values.items():
        earlier = first.setdefault(str(Path(value)), index)
        if earlier != index:
            line = document.lines[(earlier, values[earlier][0])]
            problem = f"{value!r} is used twice, first in line {line}; each entry needs its own"
            problems.add(_name(document, (index, name)), document.where((index, name)), problem)


def _missing_kinds(trained: int, stores: int) -> Iterator[str]:
    if not trained:
        yield 'no dataset is trained: add an entry with "dataset_type": "video" or "image"'
    if stores != 1:
        yield f'{stores} text-embed stores are in use: exactly one entry with "text_embeds" is needed'
