"""How an option is declared: one line of type, default, bounds, description, unit and example.

Everything that shows options to people is made from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A frozen group of options. Unknown names are an error, never ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        validate_default=True,
    )


def switches_for_numbers(kind: type[Section], content: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return where true or false stands and a number is meant, inner objects included: Python would take 1 or 0."""
    found: list[tuple[str, ...]] = []
    for name, field in kind.model_fields.items():
        value, inner = content.get(name), field.annotation
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, Section):
            found += [(name, *below) for below in switches_for_numbers(inner, value)]
        elif isinstance(value, bool) and _takes_numbers_only(inner):
            found.append((name,))
    return found


def _takes_numbers_only(declared: Any) -> bool:
    kinds = {declared, *get_args(declared)} - {NoneType}
    return bool(kinds & {int, float}) and bool not in kinds


def option(
    default: Any,
    description: str,
    *,
    unit: str | None = None,
    example: Any = None,
    also: tuple[str, ...] = (),
    opposite: tuple[str, ...] = (),
    refused: Mapping[str, str] | None = None,
    secret: bool = False,
    **bounds: Any,
) -> Any:
    """Declare one option.

    default: `...` makes it required.
    description: one sentence, for a person.
    unit: for quantities. also: other names that mean the same. opposite: names of a switch that mean its opposite.
    refused: values in use elsewhere that are not taken here, each with the reason; a name may end in *.
    secret: whether it can hold what must not be stored. bounds: pydantic's ge, gt, le, lt.
    """
    extra = {
        "unit": unit,
        "example": example,
        "also": list(also),
        "opposite": list(opposite),
        "refused": dict(refused or {}),
        "secret": secret,
    }
    return Field(default, description=description, json_schema_extra=extra, repr=not secret, **bounds)


def told(field: FieldInfo, what: str) -> Any:
    """Return a part of a declaration that pydantic does not know: unit, example, also, opposite, refused or secret."""
    extra = field.json_schema_extra
    assert isinstance(extra, dict), field
    return extra[what]
