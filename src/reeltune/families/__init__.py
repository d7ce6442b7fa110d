"""The families of models that can be trained: a table from a name to where the seam is filled.

What a plan needs is told here, without torch and without the network; `families.opening` loads and fetches.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from reeltune.config.model import ModelOptions
from reeltune.contracts.dimensions import Dimensions
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.families.sources import Location


@dataclass(frozen=True)
class Modules:
    """Where a family is written down.

    description: without torch, FACTS, `check(options)`, `dimensions(options)`, `layers(options)`,
        `locations(options)` and `token_counter(options)`, as below.
    model: `open_model(options, opening)`; parts: `check_weights(options)`; alone: `open_transformer`, `stored_type`,
        `number_type_of`, `base_fingerprint` and `name_in_release`; as in `families.opening`.
    """

    description: str
    model: str
    parts: str
    alone: str


TokenCounter = Callable[[Sequence[str]], list[int]]

FAMILIES = {
    "wan": Modules(
        description="reeltune.families.wan.description",
        model="reeltune.families.wan.family",
        parts="reeltune.families.wan.parts",
        alone="reeltune.families.wan.alone",
    )
}


def family_facts(options: ModelOptions) -> Facts:
    """Return what generic rooms need to know, before anything is fetched or loaded."""
    return _description(options).FACTS


def family_dimensions(options: ModelOptions) -> Dimensions | None:
    """Return the size of the transformer, or None when nothing on this machine tells it."""
    return _description(options).dimensions(options)


def family_layers(options: ModelOptions) -> tuple[LinearLayer, ...]:
    """Return the linear layers of the transformer, or none when nothing on this machine tells its size."""
    return _description(options).layers(options)


def family_locations(options: ModelOptions) -> list[Location]:
    """Return where each part of the model is: on this machine, in the hub's cache, or still to be fetched."""
    return _description(options).locations(options)


def family_token_counter(options: ModelOptions) -> TokenCounter | None:
    """Return what counts the tokens of captions as the text encoder sees them, before any is cut off.

    None where the tokenizer is not on this machine yet.
    """
    return _description(options).token_counter(options)


def check_family(options: ModelOptions) -> None:
    """Raise ModelError for a model whose configuration, on this machine, is of a kind that is not supported."""
    _description(options).check(options)


def _description(options: ModelOptions) -> ModuleType:
    return importlib.import_module(FAMILIES[options.model_family].description)
