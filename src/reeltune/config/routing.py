"""Token routing (TREAD): which share of the video tokens skips which blocks in training.

Written as an object, or as a text that holds one. What can be judged without knowing the model's depth is judged here.

Source: Krause et al. 2025, arXiv:2501.04765.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

from pydantic import ValidationError, field_validator

from reeltune.config.json_text import parse_json
from reeltune.config.option import Section, option
from reeltune.config.problems import explain

ROUTE = {"selection_ratio": 0.5, "start_layer_idx": 2, "end_layer_idx": -2}
EXAMPLE = json.dumps({"routes": [ROUTE]})


class Route(Section):
    """One run of blocks that only a part of the video tokens goes through."""

    selection_ratio: float = option(
        ...,
        "Share of the video tokens that is left out of the route's blocks: 0.1 keeps 90 %.",
        ge=0,
        lt=1,
        example=0.5,
    )
    start_layer_idx: int = option(
        ..., "First block of the route, counted from 0; a negative number counts from the end.", example=2
    )
    end_layer_idx: int = option(
        ..., "Last block of the route, itself included; -1 is the model's last block.", example=-2
    )


class TreadConfig(Section):
    """All routes of a run."""

    routes: tuple[Route, ...] = option(
        ..., "The routes, at least one, in any order; no block may be in two of them.", example=[ROUTE]
    )

    # Not pydantic's own bound: it also complains when there are routes and one of them is wrong.
    @field_validator("routes")
    @classmethod
    def _at_least_one(cls, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        if not routes:
            raise ValueError("at least one route is needed")
        return routes


@dataclass(frozen=True)
class Span:
    """A route's blocks, `first` to `last`, both included. name: what to call it in a message."""

    name: str
    first: int
    last: int


def parse_tread(value: object) -> TreadConfig:
    """Read routes from an object, or from a text that holds one as JSON.

    Raises ValueError that lists every problem.
    """
    content = _read_text(value) if isinstance(value, str) else value
    if isinstance(content, TreadConfig):
        return content
    if not isinstance(content, dict) or not content.get("routes"):
        raise ValueError(f"an object with at least one route is needed, such as {EXAMPLE}")
    try:
        config = TreadConfig.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(_in_words(error))) from error
    if problems := list(conflicts([span_as_written(place, route) for place, route in enumerate(config.routes)])):
        raise ValueError("; ".join(problems))
    return config


def span_as_written(place: int, route: Route) -> Span:
    """Return a route's blocks with their numbers as the user gave them. place: of the route in the list, from 0."""
    first, last = route.start_layer_idx, route.end_layer_idx
    return Span(f"route {place + 1} from {first} to {last}", first, last)


def conflicts(spans: Sequence[Span]) -> Iterator[str]:
    """Yield what is wrong with routes: one that ends before it starts, two that share a block.

    A number from the start and one from the end are not compared: that takes the model's depth.
    """
    backwards = [span for span in spans if _comparable(span.first, span.last) and span.last < span.first]
    for span in backwards:
        yield f"{span.name} ends before it starts"
    for one, other in combinations([span for span in spans if span not in backwards], 2):
        if _starts_by_the_end(one, other) and _starts_by_the_end(other, one):
            yield f"{one.name} and {other.name} share a block; each block can be in one route only"


def _starts_by_the_end(one: Span, other: Span) -> bool:
    """Return whether one route is known to start no later than another one ends."""
    return _comparable(one.first, other.last) and one.first <= other.last


def _comparable(one: int, other: int) -> bool:
    return (one < 0) == (other < 0)


def _read_text(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"the text is not JSON ({error}); it should read like {EXAMPLE}") from error


def _in_words(error: ValidationError) -> Iterator[str]:
    for key, details in groupby(error.errors(), key=lambda detail: detail["loc"]):
        yield f"{_key_in_words(key)} {explain(list(details))}"


def _key_in_words(key: tuple[int | str, ...]) -> str:
    """Return `route 2, selection_ratio` for a key path within the option."""
    parts = [f"route {part + 1}" if isinstance(part, int) else part for part in key]
    inside_a_route = parts[0] == "routes" and len(parts) > 1
    return ", ".join(parts[1:] if inside_a_route else parts)
