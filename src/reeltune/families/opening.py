"""From options to a model: its files are looked at and fetched where needed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import nn

from reeltune.config.model import ModelOptions
from reeltune.contracts.family import Family
from reeltune.families import FAMILIES
from reeltune.quantize.packages import require_package

NO_CHANGE = "no_change"


@dataclass(frozen=True)
class Opening:
    """How a model is opened.

    dtype: of the frozen parts as far as they are not quantized, and of the activations.
    keep: the text encoder and the autoencoder stay on the device once they are there, instead of being freed.
    base_precision, text_precision: of the transformer's and the text encoder's linear layers; no_change, or a
    precision of `quantize`. quantize_via: cpu or accelerator; where weights are quantized.
    vae_dtype, vae_tiling: of the autoencoder while it encodes; float32 without tiling is exact.
    """

    dtype: torch.dtype
    keep: bool = False
    base_precision: str = NO_CHANGE
    text_precision: str = NO_CHANGE
    quantize_via: str = "cpu"
    vae_dtype: torch.dtype = torch.float32
    vae_tiling: bool = False

    def precisions(self) -> set[str]:
        """Return the precisions that anything is quantized to."""
        return {self.base_precision, self.text_precision} - {NO_CHANGE}


def check_weights(options: ModelOptions) -> None:
    """Raise ModelError, before any work is done, for a model that is plainly missing, damaged or not supported.

    Fetches small files at most, and looks whole at what is in folders.
    """
    _module(options, "parts").check_weights(options)


def open_family(options: ModelOptions, opening: Opening) -> Family:
    """Find, and fetch where needed, every part of the model; nothing is loaded yet.

    Raises ConfigError when a package that quantizes is missing, ModelError for what is wrong with the model.
    """
    for precision in opening.precisions():
        require_package(precision)
    return _module(options, "model").open_model(options, opening)


def open_transformer(options: ModelOptions, *, dtype: torch.dtype | None = None) -> nn.Module:
    """Return the frozen transformer alone, on the host; nothing else of the model is looked at or fetched.

    dtype: None is the number type that its files are in. Raises ModelError.
    """
    return _module(options, "alone").open_transformer(options, dtype)


def stored_type(options: ModelOptions) -> torch.dtype:
    """Return the number type that most of the transformer's files are in. Raises ModelError."""
    return _module(options, "alone").stored_type(options)


def number_type_of(options: ModelOptions, name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type of a parameter of a transformer in `dtype`: float32 for those that diffusers keeps in it."""
    return _module(options, "alone").number_type_of(name, dtype)


def base_fingerprint(options: ModelOptions) -> str:
    """Name the transformer by its content, as the files of adapters that were trained on it do. Raises ModelError."""
    return _module(options, "alone").base_fingerprint(options)


def name_in_release(options: ModelOptions, name: str) -> str:
    """Return how a tensor of the transformer is called in the model's own release."""
    return _module(options, "alone").name_in_release(name)


def _module(options: ModelOptions, which: Literal["model", "parts", "alone"]) -> ModuleType:
    return importlib.import_module(getattr(FAMILIES[options.model_family], which))
