"""Which layers a LyCORIS description adapts, and with what settings: the choice that lycoris itself would make.

From the outside in, the first module around a layer decides whose class is a target and whose name matches no pattern
of names; inside it, the innermost class of `module_algo_map` gives the settings. A layer that no such module holds is
adapted when its own name matches. One thing differs: in lycoris 4.1 the settings of a name that was already adapted
slip to the next module; here they do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from reeltune.config.lycoris import LayerSettings, LycorisConfig
from reeltune.config.lycoris_sizes import split_in_powers
from reeltune.config.problems import nearest
from reeltune.contracts.facts import Facts
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError, listed

LINEAR = "Linear"
NOT_LINEAR = ("Conv1d", "Conv2d", "Conv3d", "GroupNorm", "LayerNorm")
"""Classes that descriptions may name, and of which nothing is adapted here."""

DEFAULTS: Mapping[str, Any] = {
    "factor": -1,
    "full_matrix": False,
    "decompose_both": False,
    "unbalanced_factorization": False,
    "constraint": 0.0,
    "rescaled": False,
    "block_size": 4,
    "train_on_input": False,
    "use_scalar": False,
    "rs_lora": False,
    "weight_decompose": False,
    "wd_on_output": True,
}
"""What lycoris takes where nothing is set."""


_SHOWN = 3
"""Layers that are named in a message."""


@dataclass(frozen=True)
class LycorisLayer:
    """One layer that is adapted. settings: all of them set; alpha is that of the formula alpha / dim."""

    layer: LinearLayer
    settings: LayerSettings


@dataclass(frozen=True)
class _Rules:
    """A preset with today's class names. classes: targets and keys of by_class. patterns: likewise of names."""

    classes: frozenset[str]
    patterns: tuple[str, ...]
    excluded: tuple[str, ...]
    by_class: Mapping[str, LayerSettings]
    by_name: Mapping[str, LayerSettings]
    use_fnmatch: bool

    def matches(self, pattern: str, name: str) -> bool:
        if self.use_fnmatch:
            return fnmatch(name, pattern)
        return name == pattern or bool(re.match(pattern, name))

    def is_named(self, name: str) -> bool:
        return any(self.matches(pattern, name) for pattern in self.patterns)

    def is_excluded(self, name: str) -> bool:
        return name in self.excluded or any(self.matches(pattern, name) for pattern in self.excluded)


def chosen_for_lycoris(layers: Sequence[LinearLayer], config: LycorisConfig, facts: Facts) -> tuple[LycorisLayer, ...]:
    """Return the layers that a description adapts, in the order given, each with all its settings.

    Raises ConfigError when something in a preset matches nothing, no layer is chosen, or a layer's size does not fit.
    """
    rules = _rules(config, facts)
    if problems := list(_matching_nothing(layers, config, rules, facts)):
        raise ConfigError(listed("apply_preset of lycoris_config", problems))
    settings = {layer.name: _settings_of(layer, rules) for layer in layers}
    if problems := list(_without_effect(layers, rules)):
        raise ConfigError(listed("apply_preset of lycoris_config", problems))
    chosen = tuple(
        LycorisLayer(layer, _resolved(own, config)) for layer in layers if (own := settings[layer.name]) is not None
    )
    if not chosen:
        raise ConfigError("apply_preset of lycoris_config leaves no layer to adapt: all are excluded, or none is named")
    if problems := [problem for one in chosen if (problem := _misfit(one))]:
        raise ConfigError(listed("lycoris_config", [*problems[:_SHOWN], *_rest(problems)]))
    return chosen


def _rules(config: LycorisConfig, facts: Facts) -> _Rules:
    preset, today = config.apply_preset, dict(facts.class_names)
    targets = preset.target_module if "target_module" in preset.model_fields_set else (LINEAR,)
    by_class = {today.get(name, name): settings for name, settings in preset.module_algo_map.items()}
    return _Rules(
        classes=frozenset({today.get(name, name) for name in targets} | by_class.keys()),
        patterns=tuple(dict.fromkeys((*preset.target_name, *preset.name_algo_map))),
        excluded=preset.exclude_name,
        by_class=by_class,
        by_name=preset.name_algo_map,
        use_fnmatch=preset.use_fnmatch,
    )


def _settings_of(layer: LinearLayer, rules: _Rules) -> LayerSettings | None:
    """Return the preset's own settings for a layer, empty for none of its own, or None where it is not adapted."""
    if rules.is_excluded(layer.name):
        return None
    around = [one for one in (*layer.inside, (layer.name, LINEAR)) if not rules.is_excluded(one[0])]
    for depth, (name, kind) in enumerate(around):
        if kind in rules.classes and not rules.is_named(name):
            return _by_class(around[depth:], rules)
    if not rules.is_named(layer.name):
        return None
    exact = rules.by_name.get(layer.name)
    fitting = (own for pattern, own in rules.by_name.items() if rules.matches(pattern, layer.name))
    return exact or next(fitting, None) or rules.by_class.get(LINEAR, LayerSettings())


def _by_class(inside: Sequence[tuple[str, str]], rules: _Rules) -> LayerSettings:
    """Return the settings of the innermost class that has any; its algorithm is inherited where it names none."""
    found = [rules.by_class[kind] for _, kind in inside if kind in rules.by_class]
    if not found:
        return LayerSettings()
    algo = next((one.algo for one in reversed(found) if one.algo), None)
    return found[-1].model_copy(update={"algo": algo})


def _resolved(own: LayerSettings, config: LycorisConfig) -> LayerSettings:
    dim = own.dim or config.linear_dim
    values = {name: _first(getattr(own, name), getattr(config, name), default) for name, default in DEFAULTS.items()}
    alpha = own.alpha or config.linear_alpha or float(dim)
    return LayerSettings(algo=own.algo or config.algo, dim=dim, alpha=alpha, **values)


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _misfit(one: LycorisLayer) -> str | None:
    settings, layer = one.settings, one.layer
    assert settings.dim is not None
    if settings.algo != "boft" or split_in_powers(layer.outputs, settings.dim):
        return None
    odd = layer.outputs // (layer.outputs & -layer.outputs)
    least = f"dim {2 * odd} would" if layer.outputs % 2 == 0 else "none would; exclude it with exclude_name"
    return f"{layer.name}: boft cannot cut its {layer.outputs} outputs into blocks of at most {settings.dim}; {least}"


def _rest(problems: Sequence[str]) -> list[str]:
    more = len(problems) - _SHOWN
    return [f"and {more} layers more"] if more > 0 else []


def _without_effect(layers: Sequence[LinearLayer], rules: _Rules) -> Iterator[str]:
    """Name the layers' settings that no layer gets, because a module around it is adapted first."""
    for pattern, own in rules.by_name.items():
        named = [layer for layer in layers if rules.matches(pattern, layer.name)]
        if named and not any(_settings_of(layer, rules) is own for layer in named):
            around = named[0].name.rpartition(".")[0]
            yield (
                f"name_algo_map: {pattern!r} names layers such as {named[0].name}, which target_module or "
                f"module_algo_map adapts with all of {around}: these settings would not be used. Take that class out "
                "there, and name layers instead"
            )


def _matching_nothing(
    layers: Sequence[LinearLayer], config: LycorisConfig, rules: _Rules, facts: Facts
) -> Iterator[str]:
    """Name the entries of a preset that match nothing in the model."""
    preset, today = config.apply_preset, dict(facts.class_names)
    classes = {kind for layer in layers for _, kind in layer.inside} | {LINEAR}
    for option, names in (("target_module", preset.target_module), ("module_algo_map", preset.module_algo_map)):
        for name in names:
            if today.get(name, name) not in classes and name not in NOT_LINEAR:
                known = nearest(name, {*classes, *today}) or f"; there is {', '.join(sorted(classes))}"
                yield f"{option}: no linear layer is inside a {name}{known}"
    own = [layer.name for layer in layers]
    modules = dict.fromkeys(own + [name for layer in layers for name, _ in layer.inside])
    for option, names, patterns in (
        ("target_name", own, preset.target_name),
        ("name_algo_map", own, preset.name_algo_map),
        ("exclude_name", modules, preset.exclude_name),
    ):
        for pattern in patterns:
            if not any(rules.matches(pattern, name) for name in names):
                hint = "" if preset.use_fnmatch else "; patterns are regular expressions from the start of a name"
                yield f"{option}: no linear layer is called {pattern!r}{nearest(pattern, own)}{hint}"
