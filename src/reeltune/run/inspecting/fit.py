"""Which model an adapter's layers are those of. No torch, no network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reeltune.config.model import FLAVOURS
from reeltune.contracts.adapter_report import Part
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ModelError
from reeltune.families import family_layers
from reeltune.run.adapter_files.base_model import base_options

OUTSIDE = "outside the blocks"
PARTS = {"attn1": "self-attention", "attn2": "cross-attention", "ffn": "feed-forward"}
"""Parts of a block by what diffusers calls them."""

Fits = Callable[[Sequence[LinearLayer]], bool]
"""Tells whether an adapter fits a model's layers."""


@dataclass(frozen=True)
class Candidate:
    """A model that an adapter may be for. layers: none where nothing on this machine tells its size."""

    place: str
    layers: tuple[LinearLayer, ...]


def candidates(named: str | None) -> list[Candidate]:
    """Return the models that are asked: the one that the file names, where it is known here, and the released ones."""
    places: list[str] = [*filter(None, [named]), *(place for place in FLAVOURS.values() if place != named)]
    return [Candidate(place, layers) for place in places if (layers := _layers(place))]


def fitting(fits: Fits, models: Iterable[Candidate]) -> list[Candidate]:
    """Return the models that have an adapter's layers in the same shapes."""
    return [model for model in models if fits(model.layers)]


def in_words(models: Sequence[Candidate], facts: Facts) -> str:
    """Name models with their width and their number of blocks."""
    return ", ".join(f"{model.place} ({size_in_words(model.layers, facts)})" for model in models)


def size_in_words(layers: Sequence[LinearLayer], facts: Facts) -> str:
    blocks = 1 + max(block_of(layer.name, facts) or 0 for layer in layers)
    inner = next(layer for layer in layers if block_of(layer.name, facts) is not None)
    return f"{inner.inputs} wide, {blocks} blocks"


def parts_of(names: Iterable[str], model: Sequence[str], facts: Facts) -> tuple[Part, ...]:
    """Count layers by part of the model. model: the names of all of its layers."""
    matched = Counter(part_of(name, facts) for name in names)
    there = Counter(part_of(name, facts) for name in model)
    return tuple(Part(name, matched[name], max(count, matched[name])) for name, count in (there | matched).items())


def part_of(name: str, facts: Facts) -> str:
    """Return which part of a model a layer belongs to."""
    if block_of(name, facts) is None:
        return OUTSIDE
    inside = name.split(".")[2]
    return PARTS.get(inside, inside)


def block_of(name: str, facts: Facts) -> int | None:
    """Return the number of the block that a layer is in; None for one outside the blocks."""
    found = re.match(rf"{re.escape(facts.blocks)}\.(\d+)\.", name)
    return int(found[1]) if found else None


def all_layers(blocks: int, facts: Facts) -> list[str]:
    """Return the names of all linear layers of a model with so many blocks."""
    inside = [f"{facts.blocks}.{index}.{name}" for index in range(blocks) for name in facts.block_layers]
    return [*inside, *facts.outer_layers]


def _layers(place: str) -> tuple[LinearLayer, ...]:
    try:
        return family_layers(base_options(place))
    except ModelError:
        return ()  # a folder that was there when the file was made
