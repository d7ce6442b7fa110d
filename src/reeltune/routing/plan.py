"""Routes on a model of known depth, and the number of tokens that each block then works on. Without torch."""

from __future__ import annotations

from dataclasses import dataclass

from reeltune.config.routing import Span, TreadConfig, conflicts, span_as_written
from reeltune.errors import ConfigError, listed


@dataclass(frozen=True)
class Segment:
    """The blocks `first` to `last`, both included and counted from 0, and the share of tokens that skips them."""

    first: int
    last: int
    dropped: float


def resolve(config: TreadConfig, layers: int) -> tuple[Segment, ...]:
    """Return the routes on a model of `layers` blocks, in the order of the blocks.

    Raises ConfigError that lists every route that lies outside the model, runs backwards or meets another.
    """
    written = [span_as_written(place, route) for place, route in enumerate(config.routes)]
    problems = [problem for span in written for problem in _outside(span, layers)]
    within = {place: _from_the_start(span, layers) for place, span in enumerate(written) if not _outside(span, layers)}
    problems.extend(conflicts(list(within.values())))
    if problems:
        raise ConfigError(listed(f"tread_config on a model of {layers} blocks", problems))
    segments = [Segment(span.first, span.last, config.routes[place].selection_ratio) for place, span in within.items()]
    return tuple(sorted(segments, key=lambda segment: segment.first))


def kept_tokens(tokens: int, dropped: float) -> int:
    """Return how many of a sample's tokens stay when a share is dropped; at least one."""
    return max(1, tokens - round(tokens * dropped))


def tokens_per_block(segments: tuple[Segment, ...], layers: int, tokens: int) -> tuple[int, ...]:
    """Return the number of video tokens of one sample that each block works on."""
    counts = [tokens] * layers
    for segment in segments:
        for block in range(segment.first, segment.last + 1):
            counts[block] = kept_tokens(tokens, segment.dropped)
    return tuple(counts)


def _outside(span: Span, layers: int) -> list[str]:
    indices = dict.fromkeys(index for index in (span.first, span.last) if not -layers <= index < layers)
    reach = f"0 to {layers - 1}, or -{layers} to -1 from the end"
    return [f"{span.name}: there is no block {index}; blocks are {reach}" for index in indices]


def _from_the_start(span: Span, layers: int) -> Span:
    first, last = (index + layers if index < 0 else index for index in (span.first, span.last))
    resolved = "" if (first, last) == (span.first, span.last) else f" (blocks {first} to {last})"
    return Span(span.name + resolved, first, last)
