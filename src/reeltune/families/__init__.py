"""The families of models that can be trained: a table from a name to where the seam is filled."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from reeltune.config.model import ModelOptions
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import Family

FAMILIES = {"wan": "reeltune.families.wan.family"}
"""Each module offers FACTS, `check(options)` and `open_model(options, dtype)`, as the functions below say."""


def family_facts(options: ModelOptions) -> Facts:
    """Return what generic rooms need to know, before anything is fetched or loaded."""
    return _module(options).FACTS


def check_family(options: ModelOptions) -> None:
    """Raise ModelError, before any work is done, for a model that is plainly missing or not supported."""
    _module(options).check(options)


def open_family(options: ModelOptions, dtype: torch.dtype) -> Family:
    """Find, and fetch where needed, every part of the model. Raises ModelError; nothing is loaded yet."""
    return _module(options).open_model(options, dtype)


def _module(options: ModelOptions) -> ModuleType:
    return importlib.import_module(FAMILIES[options.model_family])
