"""The settings of an optimizer by its library's own names: an object, or a text such as `betas=0.9|0.99,eps=1e-8`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator

Value: TypeAlias = bool | int | float | str | None | tuple[float, ...]

WORDS: Mapping[str, Value] = {"true": True, "false": False, "none": None, "null": None}


def parse_settings(value: object) -> object:
    """Read settings from an object, or from a text of `name=value` with commas between.

    Numbers, true, false and none are read as such, and numbers with | between as several. Raises ValueError.
    """
    if not isinstance(value, str):
        return value
    return dict(_pair(part.strip()) for part in value.split(",") if part.strip())


def _pair(text: str) -> tuple[str, Value]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise ValueError(f"{text!r} is no setting; they are written name=value with commas between, such as eps=1e-8")
    several = value.strip("()[]").split("|")
    return name, tuple(_number(part) for part in several) if len(several) > 1 else _value(value)


def _value(text: str) -> Value:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no number; several numbers are written with | between, such as 0.9|0.99"
        ) from None


OptimizerSettings: TypeAlias = Annotated[
    dict[str, Value], BeforeValidator(parse_settings, json_schema_input_type=dict[str, Value] | str)
]
