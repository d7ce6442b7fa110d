"""How an option is declared: one line of type, default, bounds, description, unit and example.

Everything that shows options to people is made from these declarations.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
    **bounds: Any,
) -> Any:
    """Declare one option.

    default: `...` makes it required.
    description: one sentence, for a person.
    unit: for quantities. also: other names that mean the same. bounds: pydantic's ge, gt, le, lt.
    """
    extra = {"unit": unit, "example": example, "also": list(also)}
    return Field(default, description=description, json_schema_extra=extra, **bounds)
