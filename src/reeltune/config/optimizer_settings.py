"""The settings of an optimizer by its library's own names: an object, or a text such as `betas=0.9|0.99,eps=1e-8`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator

from reeltune.config.json_text import parse_json

Value: TypeAlias = bool | int | float | str | None | tuple[float, ...]

WORDS: Mapping[str, Value] = {"true": True, "false": False, "none": None, "null": None}


def parse_settings(value: object) -> object:
    """Read settings from an object, from a text of one in JSON, or from a text of `name=value` with commas between.

    Texts of numbers, true, false and none are read as such, and numbers with | between as several; those in an object
    too. Raises ValueError, also where a text gives a name twice.
    """
    if not isinstance(value, str):
        return _object(value)
    if value.lstrip().startswith("{"):
        return _object(parse_json(value))
    pairs = [_pair(part.strip()) for part in value.split(",") if part.strip()]
    settings = dict(pairs)
    if len(settings) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in settings if names.count(name) > 1)
        raise ValueError(f"{twice} is given {names.count(twice)} times; write it once")
    return settings


def _object(value: object) -> object:
    """Return an object with its texts read; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {key: _value(one) if isinstance(one, str) else one for key, one in value.items()}


def _pair(text: str) -> tuple[str, Value]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise ValueError(f"{text!r} is no setting; they are written name=value with commas between, such as eps=1e-8")
    return name, _value(value)


def _value(text: str) -> Value:
    several = text.strip("()[]").split("|")
    if len(several) > 1:
        return tuple(_number(part) for part in several)
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
