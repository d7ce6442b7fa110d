"""Which layers of the base a run trains, told before anything is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reeltune.config.adapter_contradictions import FROM_BASE
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import LycorisLayer, chosen_for_lycoris
from reeltune.config.root import Config
from reeltune.config.targets import chosen_layers
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError
from reeltune.families import family_facts, family_layers
from reeltune.families.weight_files import length_problem
from reeltune.run.checkpoint_room import start_of
from reeltune.run.trained_words import result_kind


def check_trained(config: Config) -> None:
    """Refuse an adapter that does not fit the base, where the base's layers are known by now.

    Raises ConfigError for targets, blocks or a preset that match nothing, a rank that a start cannot have, and a file
    to start from that is not there.
    """
    layers = trained_layers(config)
    _require_start(config)
    if result_kind(config) == "lora" and config.adapter.lora_init_type in FROM_BASE:
        _require_directions(config, layers)


def _require_start(config: Config) -> None:
    """Refuse a fresh run whose file to start from is missing; one that goes on needs it no more."""
    file = config.adapter.init_lora
    if not file or start_of(config.reporting) is not None:
        return
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"init_lora: {file} does not exist. Name a .safetensors file, or leave init_lora out.")
    if problem := length_problem(path):
        raise ConfigError(f"init_lora: {file} {problem}. Get it again, or leave init_lora out.")


def trained_layers(config: Config) -> tuple[LinearLayer, ...]:
    """Return the linear layers that are trained; none where nothing on this machine tells the base's size.

    Raises ConfigError for targets, blocks or a preset that match nothing.
    """
    return trained_among(config, family_layers(config.model), family_facts(config.model))


def trained_among(config: Config, layers: Sequence[LinearLayer], facts: Facts) -> tuple[LinearLayer, ...]:
    """Return those of a base's layers that are trained; none of none."""
    if not layers or config.model.model_type == "full":
        return tuple(layers)
    if config.adapter.lora_type == "lycoris":
        return tuple(chosen.layer for chosen in lycoris_among(config, layers, facts))
    return chosen_layers(layers, config.adapter, facts)


def lycoris_among(config: Config, layers: Sequence[LinearLayer], facts: Facts) -> tuple[LycorisLayer, ...]:
    """Return those of a base's layers that a LyCORIS adapter is put on, each with its settings; none of none."""
    assert config.adapter.lycoris_config
    if not layers:
        return ()
    return chosen_for_lycoris(layers, lycoris_of(config.adapter.lycoris_config), facts)


def _require_directions(config: Config, layers: Sequence[LinearLayer]) -> None:
    rank, kind = config.adapter.lora_rank, config.adapter.lora_init_type
    for layer in layers:
        if rank > (most := min(layer.inputs, layer.outputs)):
            raise ConfigError(
                f"lora_rank is {rank}, and {layer.name} has {most} directions for lora_init_type={kind} to start from. "
                f"Set lora_rank={most} or less, or lora_init_type=default."
            )
