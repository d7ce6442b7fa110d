"""How an option is declared: one line of type, default, bounds, description, unit and example.

Everything that shows options to people is made from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def told(field: FieldInfo, what: str) -> Any:
    """Return a part of a declaration that pydantic does not know: unit, example, also, opposite, refused or secret."""
    extra = field.json_schema_extra
    assert isinstance(extra, dict), field
    return extra[what]
