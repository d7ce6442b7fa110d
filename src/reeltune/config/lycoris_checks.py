"""What the settings of a LyCORIS description say beside each other: what cannot be, and what nothing depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from reeltune.config.document import KeyPath
from reeltune.config.lycoris import LayerSettings, LycorisConfig, Preset
from reeltune.config.lycoris_keys import DECOMPOSABLE, IN_MAPS, NOT_PROPORTIONAL, READ_BY, READ_IN_ALL

MAPS = ("module_algo_map", "name_algo_map")


def _settings(config: LycorisConfig) -> Iterator[tuple[KeyPath, LayerSettings]]:
    """Yield all settings of layers: those for all, and those of the maps."""
    yield (), config
    for name in MAPS:
        for entry, settings in getattr(config.apply_preset, name).items():
            yield ("apply_preset", name, entry), settings


def _decomposes(settings: LayerSettings, config: LycorisConfig) -> bool:
    own = settings.weight_decompose
    return bool(config.weight_decompose if own is None else own)


def contradictions(config: LycorisConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yield what cannot be trained so: the path of the key that says it, and why not."""
    for key, settings in _settings(config):
        algo = settings.algo or config.algo
        decompose = _decomposes(settings, config)
        if config.multiplier != 1 and algo in NOT_PROPORTIONAL:
            yield ("multiplier",), f"is {config.multiplier:g}, and {algo} needs 1: {NOT_PROPORTIONAL[algo]}"
        if decompose and algo not in DECOMPOSABLE:
            yield (*key, "weight_decompose"), f"is not possible with {algo}; {', '.join(DECOMPOSABLE)} can"
        if decompose and config.multiplier != 1:
            yield ("multiplier",), f"is {config.multiplier:g}, and weight_decompose needs 1: lengths have no strength"
        dim, size = settings.dim or config.linear_dim, settings.block_size or config.block_size or 4
        if algo == "dylora" and dim % size:
            name = "dim" if key else "linear_dim"
            yield (*key, name), f"is {dim}, which dylora cannot cut into blocks of {size} (block_size)"
    yield from _bad_patterns(config.apply_preset)


def _bad_patterns(preset: Preset) -> Iterator[tuple[KeyPath, str]]:
    for name in ("target_name", "name_algo_map", "exclude_name") if not preset.use_fnmatch else ():
        for pattern in getattr(preset, name):
            try:
                re.compile(pattern)
            except re.error as error:
                text = f"{pattern!r} is no regular expression ({error}); set use_fnmatch to true for names with *"
                yield ("apply_preset", name), text


def remarks(config: LycorisConfig) -> Iterator[tuple[Literal["inert", "trap"], KeyPath, str]]:
    """Yield what nothing reads beside the other settings, and what does more than its words say; unset keys as well."""
    every = [settings for _, settings in _settings(config)]
    for key, settings in _settings(config):
        for name, text in _unread([settings] if key else every, config, at_top=not key):
            if getattr(settings, name, None) is not None:
                yield "inert", (*key, name), text
    preset = config.apply_preset
    if preset.target_name and "target_module" not in preset.model_fields_set:
        text = (
            "without target_module all linear layers are adapted, as lycoris does; with target_module [] only the "
            "named ones are"
        )
        yield "trap", ("apply_preset", "target_name"), text


def _unread(takers: Sequence[LayerSettings], config: LycorisConfig, *, at_top: bool) -> Iterator[tuple[str, str]]:
    """Yield the settings that nothing reads of what these take, and why. at_top: for all layers, not those of a map."""
    algos = {one.algo or config.algo for one in takers}
    for name, readers in READ_BY.items():
        if not algos & set(readers) and not (at_top and name in IN_MAPS):
            yield name, f"is read with {', '.join(readers)} only"
    for name, readers in READ_IN_ALL.items():
        if not algos & set(readers):
            yield name, f"is read with {', '.join(readers)} only; it must be there all the same"
    if not any(_decomposes(one, config) for one in takers):
        yield "wd_on_output", "is read with weight_decompose only"
    for name in IN_MAPS if at_top else ():
        yield name, f"is read in the maps of apply_preset only; here it is linear_{name}"
