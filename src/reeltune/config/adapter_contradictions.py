"""What is wrong between options that say what is trained, each right by itself."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.datasets import Datasets
from reeltune.config.root import Config

FROM_BASE = ("pissa", "olora")
"""Starts of a LoRA that follow the base's own weights."""


def trained_contradictions(config: Config) -> Iterator[str]:
    """Yield a sentence for each."""
    if config.model.model_type == "full":
        yield from _whole_model(config)
    elif config.adapter.lora_type == "lycoris":
        yield from _lycoris(config)
    else:
        yield from _lora(config)


def trained_contradictions_with_data(config: Config, datasets: Datasets) -> Iterator[str]:
    """Yield a sentence for each between what is trained and the dataset file."""
    priors = [dataset.id for dataset in datasets.trained if dataset.is_regularisation_data]
    if priors and config.model.model_type == "full":
        yield (
            f"is_regularisation_data is true for {', '.join(priors)}, and model_type is full: once the base itself is "
            "trained, nobody can be asked what it answered; take the key out, or train an adapter with model_type=lora"
        )


def _whole_model(config: Config) -> Iterator[str]:
    precision = config.model.base_model_precision
    if precision != "no_change":
        yield (
            f"base_model_precision is {precision} and model_type is full: weights in 8 bits cannot be trained; set "
            "base_model_precision=no_change, or train an adapter with model_type=lora"
        )
    if config.adapter.init_lora:
        yield (
            "init_lora is set and model_type is full: there is no adapter to start; merge the file into the base first "
            f"(reeltune export {config.adapter.init_lora} --format merged), and name the result as the base"
        )


def _lycoris(config: Config) -> Iterator[str]:
    if not config.adapter.lycoris_config:
        yield (
            "lora_type is lycoris and lycoris_config is not set: name the file that describes the adapter, such as "
            "lycoris_config=config/wan/lycoris_config.json, or set lora_type=standard"
        )
    if config.adapter.init_lora and config.adapter.init_lokr_norm:
        yield (
            f"init_lora is set and init_lokr_norm is {config.adapter.init_lokr_norm:g}: each says where the adapter "
            "starts; with a file, leave init_lokr_norm out"
        )


def _lora(config: Config) -> Iterator[str]:
    adapter, precision = config.adapter, config.model.base_model_precision
    if adapter.init_lora and adapter.lora_init_type != "default":
        yield (
            f"init_lora is set and lora_init_type is {adapter.lora_init_type}: each says where the LoRA starts; with a "
            "file, set lora_init_type=default"
        )
    if adapter.use_dora and precision != "no_change":
        yield (
            f"use_dora is true and base_model_precision is {precision}: DoRA needs the lengths of the base's own "
            "weights, which 8 bits round; set use_dora=false, or base_model_precision=no_change"
        )
