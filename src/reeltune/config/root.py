"""All options together: one flat namespace for users, frozen sections for rooms.

Nothing derived is ever written back: see `run/plan.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from reeltune.config.adapter import AdapterOptions
from reeltune.config.average import AverageOptions
from reeltune.config.data import DataOptions
from reeltune.config.evaluation import EvaluationOptions
from reeltune.config.model import ModelOptions
from reeltune.config.objective import ObjectiveOptions
from reeltune.config.optimization import OptimizationOptions
from reeltune.config.option import Section, told
from reeltune.config.rendering import RenderingOptions
from reeltune.config.reporting import ReportingOptions
from reeltune.config.training import TrainingOptions
from reeltune.config.webhooks import is_inline

HIDDEN = "(hidden)"


class Config(Section):
    """The whole configuration of a run, frozen."""

    model: ModelOptions
    adapter: AdapterOptions
    data: DataOptions
    training: TrainingOptions
    objective: ObjectiveOptions
    optimization: OptimizationOptions
    average: AverageOptions
    rendering: RenderingOptions
    evaluation: EvaluationOptions
    reporting: ReportingOptions

    def flat(self) -> dict[str, Any]:
        """Return every option by its own name: what a configuration file would say, without secrets."""
        return {
            name: _shown(value, field)
            for section, name, field in all_options()
            for value in [getattr(self, section).model_dump(mode="json")[name]]
        }

    def given(self) -> frozenset[str]:
        """Return the options that were set, by file or command line."""
        return frozenset(name for section in SECTIONS for name in getattr(self, section).model_fields_set)


SECTIONS: Mapping[str, type[Section]] = {
    name: field.annotation for name, field in Config.model_fields.items() if isinstance(field.annotation, type)
}


def all_options() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield (section, option name, declaration) for every option there is."""
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            yield section, name, field


def canonical_names() -> dict[str, str]:
    """Return every name that an option is known by, with the option's own name."""
    return {
        known: name
        for _, name, field in all_options()
        for known in [name, *told(field, "also"), *told(field, "opposite")]
    }


def opposite_names() -> frozenset[str]:
    """Return the names that mean the opposite of the option that they belong to."""
    return frozenset(known for _, _, field in all_options() for known in told(field, "opposite"))


def _shown(value: Any, field: FieldInfo) -> Any:
    """Hide what may hold secrets; the path of a file that holds them is none."""
    inline = not isinstance(value, str) or is_inline(value)
    return HIDDEN if told(field, "secret") and value is not None and inline else value
