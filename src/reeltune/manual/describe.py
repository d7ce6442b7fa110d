"""Every option and key as a record in words, for whoever shows them: made from the declarations alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reeltune.config.datasets import (
    CropAspect,
    EvalDataset,
    ImageDataset,
    TableOptions,
    TextEmbeds,
    VideoDataset,
    VideoOptions,
)
from reeltune.config.lycoris import LycorisConfig, Preset
from reeltune.config.masks import MaskDataset
from reeltune.config.option import Section, told
from reeltune.config.root import SECTIONS
from reeltune.config.routing import Route
from reeltune.config.webhooks import DiscordWebhook, RawWebhook
from reeltune.manual.schema import Node, raw_nodes

CONFIGURATION = "configuration"
DATASET_FILE = "dataset file"
WEBHOOK_FILE = "webhook file"
LYCORIS_FILE = "LyCORIS description"
NEEDED = "(needed)"
UNSET = "(unset)"


@dataclass(frozen=True)
class Described:
    """One option in words.

    name: as `reeltune options` finds it; of what lies inside another key, with that key's name before it.
    group: the title it stands under. file: which kind of file it belongs to. value: what it may be.
    default: as a file would say it. refused: values in use elsewhere, each with the reason why it is not taken.
    """

    name: str
    group: str
    file: str
    sentence: str
    value: str
    default: str
    choices: tuple[str, ...]
    unit: str | None
    example: str | None
    also: tuple[str, ...]
    opposite: tuple[str, ...]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class _Group:
    title: str
    file: str
    kinds: tuple[type[Section], ...]
    before: str = ""


TITLES: Mapping[str, str] = {
    "model": "Model",
    "adapter": "Adapter",
    "data": "Data",
    "training": "Training",
    "objective": "Noise levels and loss",
    "optimization": "Optimizer, learning rate and clipping",
    "average": "Moving average of the weights (EMA)",
    "rendering": "Validation videos",
    "evaluation": "Loss on held-out clips",
    "reporting": "Saving and telling",
}
"""The sections of a configuration, for people."""

_GROUPS = (
    *(_Group(TITLES[section], CONFIGURATION, (kind,)) for section, kind in SECTIONS.items()),
    _Group("Token routes", CONFIGURATION, (Route,), before="tread_config.routes."),
    _Group("A dataset", DATASET_FILE, (VideoDataset, ImageDataset, EvalDataset)),
    _Group("Frames of a dataset", DATASET_FILE, (VideoOptions,), before="video."),
    _Group("A table of captions of a dataset", DATASET_FILE, (TableOptions,), before="parquet."),
    _Group("A shape of crops of a dataset", DATASET_FILE, (CropAspect,), before="crop_aspect_buckets."),
    _Group("Masks of a dataset's clips", DATASET_FILE, (MaskDataset,)),
    _Group("The store of text embeddings", DATASET_FILE, (TextEmbeds,)),
    _Group("A LyCORIS adapter", LYCORIS_FILE, (LycorisConfig,)),
    _Group("Layers of a LyCORIS adapter", LYCORIS_FILE, (Preset,), before="apply_preset."),
    _Group("A webhook", WEBHOOK_FILE, (DiscordWebhook, RawWebhook)),
)


@cache
def all_described() -> tuple[Described, ...]:
    """Return every option of the configuration, then every key of the other files, in the order of declaration."""
    return tuple(one for group in _GROUPS for one in _described(group))


def as_written(value: Any) -> str:
    """Return a value as a file would say it."""
    if value is None:
        return UNSET
    if isinstance(value, Section):
        value = value.model_dump(mode="json", exclude_unset=True)
    return json.dumps(value, ensure_ascii=False)


def typed(one: Described) -> str | None:
    """Return how an option is written on the command line; None where only a file can say it."""
    if one.file != CONFIGURATION or "." in one.name:
        return None
    shown = one.example or (one.default if one.default not in (NEEDED, UNSET) else "VALUE")
    plain = shown.strip('"')
    # A shell takes spaces, brackets and quotes for itself.
    return f"'{one.name}={plain}'" if any(sign in plain for sign in ' "[]{}*') else f"{one.name}={plain}"


def _described(group: _Group) -> Iterator[Described]:
    declared: dict[str, list[tuple[FieldInfo, Node, Node]]] = {}
    for kind in group.kinds:
        nodes, definitions = raw_nodes(kind)
        for name, field in kind.model_fields.items():
            declared.setdefault(name, []).append((field, nodes[name], definitions))
    for name, several in declared.items():
        field, node, definitions = several[0]
        # What two kinds of entry declare differently, such as what marks each, is shown with both meanings.
        sentences = dict.fromkeys(str(one.description) for one, _, _ in several)
        values = dict.fromkeys(in_words(one, needed) for _, one, needed in several)
        choices = dict.fromkeys(choice for _, one, needed in several for choice in _choices(one, needed))
        example = told(field, "example")
        yield Described(
            name=group.before + name,
            group=group.title,
            file=group.file,
            sentence=" ".join(sentences),
            value=", or ".join(values),
            default=NEEDED if field.default is PydanticUndefined else as_written(field.default),
            choices=tuple(choices),
            unit=told(field, "unit"),
            example=None if example is None else as_written(example),
            also=tuple(told(field, "also")),
            opposite=tuple(told(field, "opposite")),
            refused=told(field, "refused"),
        )


def in_words(node: Node, definitions: Node) -> str:
    """Return what a value may be: `a whole number, at least 1`, `a number, or the word native`."""
    if "anyOf" in node:
        return ", or ".join(in_words(one, definitions) for one in node["anyOf"])
    if "$ref" in node:
        inside = definitions[node["$ref"].rpartition("/")[2]]
        return f"an object of {_named(list(inside['properties']))}"
    if "const" in node:
        return _one_of([node["const"]])
    if "enum" in node:
        return _one_of(node["enum"])
    if node.get("type") == "array":
        several = node["items"].get("anyOf", [node["items"]])
        return "a list of " + ", or of ".join(_plural(in_words(one, definitions)) for one in several)
    return ", ".join([_TYPES[node["type"]], *_bounds(node)])


_TYPES: Mapping[str, str] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "object": "an object",
    "null": "unset (null)",
}


def _one_of(values: Sequence[Any]) -> str:
    """Name a few values; many have a list of their own."""
    if len(values) > 8:
        return f"one of {len(values)} words"
    return " | ".join(str(value) if isinstance(value, str) else json.dumps(value) for value in values)


def _named(names: Sequence[str]) -> str:
    """Name a few keys; many have a part of their own."""
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _plural(words: str) -> str:
    for one, many in _PLURALS.items():
        if words.startswith(one):
            return many + words.removeprefix(one)
    return words


_PLURALS: Mapping[str, str] = {
    "a whole number": "whole numbers",
    "a number": "numbers",
    "an object": "objects",
    "a text": "texts",
}


def _bounds(node: Node) -> Iterator[str]:
    phrases = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "multipleOf": "a multiple of {}",
    }
    yield from (phrase.format(f"{node[bound]}") for bound, phrase in phrases.items() if bound in node)


def _choices(node: Node, definitions: Node) -> Iterator[str]:
    """Yield the words that a value may be."""
    for one in node.get("anyOf", []):
        yield from _choices(one, definitions)
    if "items" in node:
        yield from _choices(node["items"], definitions)
    values = node.get("enum", [node["const"]] if "const" in node else [])
    yield from (value for value in values if isinstance(value, str))
