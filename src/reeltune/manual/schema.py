"""The options as a JSON schema, for editors: what may stand in a configuration file and in a dataset file.

The schema is that of the configuration; the one of a dataset file is its `$defs/dataset_file`. It is narrower than the
loader in two ways: numbers in quotes and other spellings of a value, which the loader reads, are marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reeltune.config.datasets import KINDS
from reeltune.config.foreign import DATASET_INERT, DATASET_INERT_BY_KIND, HUB_INERT, INERT
from reeltune.config.option import Section
from reeltune.config.root import SECTIONS

DRAFT = "https://json-schema.org/draft/2020-12/schema"

SWITCH = {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
"""A switch as files write it; in quotes too."""

Node = dict[str, Any]


def json_schema() -> Node:
    """Return the schema of a configuration file, with the one of a dataset file in its `$defs`."""
    definitions: Node = {}
    # Nothing is required: an option may come from another file, from the command line, or be written with dashes.
    options = {name: node for kind in SECTIONS.values() for name, node in _entries(kind, definitions).items()}
    return {
        "$schema": DRAFT,
        "title": "reeltune configuration",
        "type": "object",
        "properties": options | _inert(INERT, options),
        "patternProperties": {"^--": True},
        "additionalProperties": False,
        "$defs": {"dataset_file": _dataset_file(definitions), **definitions},
    }


def raw_nodes(kind: type[Section]) -> tuple[Node, Node]:
    """Return pydantic's schema of each option of a section, and the definitions that they refer to."""
    schema = kind.model_json_schema()
    return schema["properties"], schema.get("$defs", {})


def _dataset_file(definitions: Node) -> Node:
    entries = [_dataset_entry(name, kind, definitions) for name, kind in KINDS.items()]
    return {"title": "reeltune dataset file", "type": "array", "items": {"anyOf": entries}}


def _dataset_entry(dataset_type: str, kind: type[Section], definitions: Node) -> Node:
    keys = _entries(kind, definitions)
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    # Without the key an entry is of the first kind.
    named = [] if dataset_type == next(iter(KINDS)) else ["dataset_type"]
    return {
        "type": "object",
        "properties": keys | _inert({**DATASET_INERT, **DATASET_INERT_BY_KIND.get(dataset_type, {})}, keys) | _HUB,
        "required": [*required, *named],
        "additionalProperties": False,
    }


def _entries(kind: type[Section], definitions: Node) -> Node:
    """Return the schema of each name that a section's options are known by; what they refer to is added."""
    nodes, needed = raw_nodes(kind)
    definitions |= {name: _clean(node) for name, node in needed.items()}
    entries: Node = {}
    for name, node in nodes.items():
        entries[name] = _clean(node)
        for known in node["also"]:
            entries[known] = {**_clean(node), "description": f"Another name of {name}."}
        for known in node["opposite"]:
            entries[known] = {**SWITCH, "description": f"The opposite of {name}."}
    return entries


def _inert(keys: Mapping[str, str], known: Node) -> Node:
    return {
        name: {"description": f"Changes nothing: {reason}.", "deprecated": True}
        for name, reason in keys.items()
        if name not in known
    }


def _clean(node: Node) -> Node:
    """Return a node in the words of JSON schema alone: what only our declarations know goes or becomes a word."""
    kept = {key: value for key, value in node.items() if key not in _OURS}
    if node.get("unit"):
        kept["description"] = f"{node['description']} Unit: {node['unit']}."
    if node.get("example") is not None:
        kept["examples"] = [node["example"]]
    if node.get("type") == "boolean" and "const" not in node:
        kept = {key: value for key, value in kept.items() if key != "type"} | SWITCH
    inside: Node = node.get("properties", {})
    return kept | ({"properties": {name: _clean(inner) for name, inner in inside.items()}} if inside else {})


_HUB: Node = {
    "huggingface": {"type": "object", "properties": _inert(HUB_INERT, {}), "additionalProperties": False},
}
"""What other trainers' datasets on the hub say inside another key."""

_OURS = ("title", "unit", "example", "also", "opposite", "refused", "secret")
