"""Ranges of blocks in words: `5`, `8-21`, `10-` (to the last), `-1` (the last), `-6 - -1` or `-6-` (the last six).

Several are separated by commas. Both ends are included; blocks count from 0, negative ones from the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reeltune.errors import ConfigError, listed

OPTION = "lora_blocks"

RANGE = re.compile(r"(?P<first>-?\d+)\s*(?P<to>-\s*(?P<last>-?\d+)?)?", re.ASCII)


@dataclass(frozen=True)
class BlockRange:
    """Blocks from `first` to `last`, both included; negative ones from the end. text: as it was written."""

    text: str
    first: int
    last: int


def parse_ranges(text: str) -> tuple[BlockRange, ...]:
    """Read ranges without knowing the model. Raises ConfigError that lists every part that cannot be meant."""
    found = [(part.strip(), RANGE.fullmatch(part.strip())) for part in text.split(",")]
    ranges = tuple(_range(part, match) for part, match in found if match)
    problems = [f"{part!r} is no block and no range; write such as 8-21, 10-, -1" for part, match in found if not match]
    problems += [_backwards(span) for span in ranges if (span.first < 0) == (span.last < 0) and span.last < span.first]
    if problems:
        raise ConfigError(listed(OPTION, problems))
    return ranges


def kept_blocks(ranges: Sequence[BlockRange], count: int) -> frozenset[int]:
    """Return the numbers, from 0, of the blocks of a model of `count` blocks that are in one of the ranges.

    Raises ConfigError that lists every range that lies outside the model or runs backwards.
    """
    problems = [problem for span in ranges for problem in _outside(span, count)]
    if problems:
        raise ConfigError(listed(f"{OPTION} on a model of {count} blocks", problems))
    return frozenset(block for span in ranges for block in range(span.first % count, span.last % count + 1))


def _range(text: str, match: re.Match[str]) -> BlockRange:
    first = int(match["first"])
    if match["to"] is None:
        return BlockRange(text, first, first)
    return BlockRange(text, first, -1 if match["last"] is None else int(match["last"]))


def _outside(span: BlockRange, count: int) -> Iterator[str]:
    beyond = [index for index in (span.first, span.last) if not -count <= index < count]
    if beyond:
        reach = f"0 to {count - 1}, or -{count} to -1 from the end"
        yield f"{span.text!r}: there is no block {beyond[0]}; blocks are {reach}"
    elif span.last % count < span.first % count:
        yield f"{_backwards(span)}: blocks {span.first % count} to {span.last % count}"


def _backwards(span: BlockRange) -> str:
    return f"{span.text!r} ends before it starts"
