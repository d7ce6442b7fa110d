"""All options together, and the checks that span sections.

The options are one flat namespace for users; here they are grouped into frozen sections, so that a room can be handed
the part it needs. Nothing derived is ever written back: see `run/plan.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from reeltune.config.adapter import AdapterOptions
from reeltune.config.data import DataOptions
from reeltune.config.model import ModelOptions
from reeltune.config.option import Section
from reeltune.config.rendering import RenderingOptions
from reeltune.config.reporting import ReportingOptions
from reeltune.config.training import TrainingOptions


class Config(Section):
    """The whole configuration of a run, frozen."""

    model: ModelOptions
    adapter: AdapterOptions
    data: DataOptions
    training: TrainingOptions
    rendering: RenderingOptions
    reporting: ReportingOptions

    def flat(self) -> dict[str, Any]:
        """Return every option by its own name: what a configuration file would say."""
        return {name: value for section in SECTIONS for name, value in getattr(self, section).model_dump().items()}


SECTIONS: Mapping[str, type[Section]] = {
    name: field.annotation for name, field in Config.model_fields.items() if isinstance(field.annotation, type)
}


def all_options() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield (section, option name, declaration) for every option there is."""
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            yield section, name, field


def other_names(field: FieldInfo) -> list[str]:
    """Return the further names under which an option is known."""
    extra = field.json_schema_extra
    return list(extra.get("also", [])) if isinstance(extra, dict) else []  # pyright: ignore[reportArgumentType]


def canonical_names() -> dict[str, str]:
    """Return every name that an option is known by, with the option's own name."""
    return {known: name for _, name, field in all_options() for known in [name, *other_names(field)]}


def contradictions(config: Config) -> list[str]:
    """Return what is wrong between options that are each right by themselves."""
    checks = (_has_an_end, _average_is_updated)
    return [problem for check in checks for problem in check(config)]


def _has_an_end(config: Config) -> Iterator[str]:
    if not config.training.max_train_steps and not config.training.num_train_epochs:
        yield "max_train_steps and num_train_epochs are both 0: set one of them, such as max_train_steps=2000"


def _average_is_updated(config: Config) -> Iterator[str]:
    steps = config.training.max_train_steps
    if config.training.use_ema and 0 < steps < config.training.ema_update_interval:
        yield "ema_update_interval is larger than max_train_steps: the average would never be updated"
