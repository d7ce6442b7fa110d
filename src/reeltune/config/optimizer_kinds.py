"""Kinds of settings that optimizers take: which values fit, and how to say so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from reeltune.config.optimizer_settings import Value


@dataclass(frozen=True)
class Kind:
    """words: what is needed, as it ends a sentence `eps is 0; ...`. fits: whether a value is that."""

    words: str
    fits: Callable[[Value], bool]


def _number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _within(low: int, high: float = math.inf, *, above: bool = False) -> Callable[[Value], bool]:
    """Return a test of low <= value < high. above: of low < value < high."""

    def fits(value: Value) -> bool:
        if not isinstance(value, (int, float)) or not _number(value):
            return False
        return (low < value if above else low <= value) and value < high

    return fits


def _at_most_0(value: Value) -> bool:
    return isinstance(value, (int, float)) and _number(value) and value <= 0


def _count(least: int) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def or_none(kind: Kind) -> Kind:
    """Return a kind that may be left to the library as well."""
    return Kind(f"{kind.words}, or none,", lambda value: value is None or kind.fits(value))


def several(*kinds: Kind, words: str) -> Kind:
    """Return the kind of a row of values, each of its own kind."""

    def fits(value: Value) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == len(kinds)
            and all(kind.fits(one) for kind, one in zip(kinds, value, strict=True))
        )

    return Kind(words, fits)


def one_of(*choices: str) -> Kind:
    return Kind(f"one of {', '.join(choices)}", lambda value: value in choices)


POSITIVE = Kind("a number above 0", _within(0, above=True))
AT_LEAST_0 = Kind("a number >= 0", _within(0))
FROM_1 = Kind("a number >= 1", _within(1))
AT_MOST_0 = Kind("a number <= 0", _at_most_0)
SHARE = Kind("a number from 0 up to, and without, 1", _within(0, 1.0))
SWITCH = Kind("true or false", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number >= 0", _count(0))
AT_LEAST_1 = Kind("a whole number >= 1", _count(1))
_INNER = Kind("a number between 0 and 1", _within(0, 1.0, above=True))

BETAS = several(SHARE, SHARE, words="two numbers from 0 up to, and without, 1, such as 0.9|0.99,")
INNER_BETAS = several(_INNER, SHARE, words="two numbers between 0 and 1, such as 0.9|0.99,")
THREE_BETAS = several(SHARE, SHARE, SHARE, words="three numbers from 0 up to, and without, 1, such as 0.9|0.95|0.99,")
