"""What is trained, by the options: attached to the transformer, with the files it becomes and the way it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from reeltune.adapters.about import About
from reeltune.adapters.full import FullModel
from reeltune.adapters.full_files import ModelPublisher
from reeltune.adapters.layers import layers_of
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.adapters.lycoris import Lycoris, attach_lycoris
from reeltune.adapters.publish import AdapterPublisher
from reeltune.config.lycoris import lycoris_of
from reeltune.config.root import Config
from reeltune.config.targets import chosen_layers
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import Family
from reeltune.contracts.layers import LinearLayer
from reeltune.contracts.trained import Publisher, Trained
from reeltune.run.start_file import start_file
from reeltune.run.trained_layers import lycoris_among
from reeltune.train.shown import Showing, by_file, in_place
from reeltune.train.state import TrainState

MakeAbout = Callable[[int], About]
"""Gives what a file says of itself, for a step."""


@dataclass(frozen=True)
class Attached:
    """What is trained, how it becomes files, and how it is shown."""

    trained: Trained
    publisher: Publisher
    showing: Callable[[TrainState], Showing]


def attach(config: Config, transformer: nn.Module, family: Family, *, seed: int, about: MakeAbout) -> Attached:
    """Attach what the options ask for. seed: of random starts.

    Raises ConfigError or ModelError for what does not fit the transformer, or a file to start from that does not.
    """
    if config.model.model_type == "full":
        return _full(transformer, family, about)
    facts, layers = family.facts, layers_of(transformer)
    start = start_file(config, layers, facts)
    adapter = ADAPTERS[config.adapter.lora_type](config, transformer, layers, facts, seed)
    if start:
        adapter.start_from(start.changes)
    main = "lycoris" if config.adapter.lora_type == "lycoris" else "diffusers"
    publisher = AdapterPublisher(adapter, facts, about, main=main)
    return Attached(
        adapter,
        publisher,
        showing=lambda state: by_file(
            state,
            lambda folder, step: publisher.write_main(folder, step=step),
            scratch=config.reporting.run_folder,
        ),
    )


def _lora(config: Config, transformer: nn.Module, layers: Sequence[LinearLayer], facts: Facts, seed: int) -> Lora:
    layers = chosen_layers(layers, config.adapter, facts)
    return attach_lora(transformer, config.adapter, [layer.name for layer in layers], seed=seed)


def _lycoris(config: Config, transformer: nn.Module, layers: Sequence[LinearLayer], facts: Facts, seed: int) -> Lycoris:
    assert config.adapter.lycoris_config is not None
    described = lycoris_of(config.adapter.lycoris_config)
    chosen = lycoris_among(config, layers, facts)
    return attach_lycoris(transformer, described, chosen, seed=seed, lokr_norm=config.adapter.init_lokr_norm)


ADAPTERS: Mapping[str, Callable[[Config, nn.Module, Sequence[LinearLayer], Facts, int], Lora | Lycoris]] = {
    "standard": _lora,
    "lycoris": _lycoris,
}
"""By `lora_type`."""


def _full(transformer: nn.Module, family: Family, about: MakeAbout) -> Attached:
    publisher = ModelPublisher(transformer, family.name_in_release, about)
    return Attached(FullModel(transformer), publisher, showing=in_place)
