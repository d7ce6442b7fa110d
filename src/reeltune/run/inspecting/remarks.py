"""What about an adapter is worth a word: changes that are none, scales that surprise, blocks unlike the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from reeltune.contracts.adapter_report import BlockChange, Strength

USUAL_SCALES = (0.1, 4.0)
"""Effective scales of adapters that work at strength 1."""
FAR = 5.0
"""So many times more or less than the median is far from the other blocks."""
ENOUGH = 4
"""Blocks that a median is taken of, at least."""


def warnings_of(
    blocks: Sequence[BlockChange], unchanged: Sequence[str], layers: int, scales: Sequence[float]
) -> Iterator[str]:
    """Yield what a person should know. unchanged: layers whose change is zero, of so many."""
    if len(unchanged) == layers:
        yield "This file changes nothing: every change in it is zero."
        return
    if unchanged:
        yield f"{len(unchanged)} of {layers} layers are changed by nothing, such as {unchanged[0]}."
    yield from _scale_warnings(scales)
    yield from _block_warnings(blocks)


def _scale_warnings(scales: Sequence[float]) -> Iterator[str]:
    least, most = USUAL_SCALES
    if scales and scales[-1] < least:
        yield (
            f"The effective scale, alpha / rank, is {scales[-1]:.3g}: little is seen at strength 1 unless it was "
            f"trained so. Elsewhere it may need a strength of about {1 / scales[-1]:.3g}."
        )
    if scales and scales[0] > most:
        yield (
            f"The effective scale, alpha / rank, is {scales[0]:.3g}: programs that pass over alpha show it too weak, "
            f"and need a strength of about {scales[0]:.3g}."
        )


def _block_warnings(blocks: Sequence[BlockChange]) -> Iterator[str]:
    inside = [(block.number, value) for block in blocks if (value := _value(block.strength)) is not None]
    inside = [(number, value) for number, value in inside if number is not None]
    if len(inside) < ENOUGH or not (middle := median(value for _, value in inside)):
        return
    for number, value in inside:
        times = value / middle
        if times > FAR:
            yield f"Block {number} is changed {times:.2g} times as much as the median block."
        elif times < 1 / FAR:
            yield f"Block {number} is changed {times:.2g} times as much as the median block: hardly at all."


def _value(strength: Strength) -> float | None:
    return strength.size if strength.share is None else strength.share
