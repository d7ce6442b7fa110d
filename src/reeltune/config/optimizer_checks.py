"""The settings of the chosen optimizer, put together from the options that name them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reeltune.config.optimization import OptimizationOptions
from reeltune.config.optimizer_keys import KEYS
from reeltune.config.optimizer_names import SCHEDULE_FREE
from reeltune.config.optimizer_settings import Value
from reeltune.config.root import Config


@dataclass(frozen=True)
class Named:
    """A setting that options of their own can give. options: their names. key: the library's."""

    options: tuple[str, ...]
    key: str

    def value(self, options: OptimizationOptions) -> Value:
        """Return what the options give, None where they give nothing."""
        values = [getattr(options, name) for name in self.options]
        if None in values:
            return None
        return values[0] if len(values) == 1 else tuple(values)


NAMED = (
    Named(("optimizer_beta1", "optimizer_beta2"), "betas"),
    Named(("adam_weight_decay",), "weight_decay"),
    Named(("adam_epsilon",), "eps"),
)


def settings_of(options: OptimizationOptions) -> dict[str, Value]:
    """Return the settings of the optimizer by its library's names; optimizer_config wins over the other options."""
    return {**_by_options(options), **(options.optimizer_config or {})}


def _by_options(options: OptimizationOptions) -> dict[str, Value]:
    values = {named.key: named.value(options) for named in NAMED}
    return {key: value for key, value in values.items() if value is not None}


def optimizer_contradictions(config: Config) -> Iterator[str]:
    """Yield a sentence for each setting that the optimizer does not take, and for each value that does not fit."""
    options = config.optimization
    overruling = options.optimizer_config or {}
    yield from _pair(options)
    for key, value in overruling.items():
        yield from _problem("optimizer_config", options.optimizer, key, value)
    for named in NAMED:
        value = named.value(options)
        if value is not None and named.key not in overruling:
            yield from _problem(" and ".join(named.options), options.optimizer, named.key, value)
    yield from _nesterov(options.optimizer, overruling)


def _pair(options: OptimizationOptions) -> Iterator[str]:
    given = {name: getattr(options, name) for name in ("optimizer_beta1", "optimizer_beta2")}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        (there,) = given.keys() - set(missing)
        yield f"{there} is set and {missing[0]} is not: set both, or take it out for the library's own"


def _problem(option: str, name: str, key: str, value: Value) -> Iterator[str]:
    takes = KEYS[name]
    if key == "lr":
        yield f"{option}: lr is set by learning_rate; take it out"
    elif key not in takes:
        yield f"{option}: {name} has no {key}; it takes {', '.join(sorted(takes))}"
    elif not takes[key].fits(value):
        yield f"{option}: {key} of {name} is {_written(value)}; {takes[key].words} is needed"


def _written(value: Value) -> str:
    return "|".join(f"{one:g}" for one in value) if isinstance(value, tuple) else repr(value)


def _nesterov(name: str, given: Mapping[str, Value]) -> Iterator[str]:
    if name == "torch-sgd" and given.get("nesterov") is True and (not given.get("momentum") or given.get("dampening")):
        yield "optimizer_config: nesterov of torch-sgd needs a momentum and no dampening, such as momentum=0.9"


def overruled_settings(config: Config) -> Iterator[tuple[Iterable[str], str]]:
    """Yield the options that optimizer_config overrules, and those of a decay that is not wanted, with the reason."""
    for named in NAMED:
        if named.key in (config.optimization.optimizer_config or {}):
            yield named.options, f"optimizer_config sets {named.key}"
    if config.optimization.optimizer in SCHEDULE_FREE:
        names = ("lr_end", "lr_power", "lr_num_cycles")
        yield names, f"{config.optimization.optimizer} averages its steps in place of a decay"
