"""Contact sheets: pictures side by side, each with its label, under a heading. Pillow only.

The labels are set in Pillow's own font, which knows Latin letters; the page shows every caption in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE_PIXELS = 240 * 160
"""Area of a tile; its shape is that of the pictures."""
LEAST_WIDTH = 190
"""Room for a label."""
GAP, MARGIN = 12, 24
PAPER, INK, DIM = (18, 20, 24), (236, 238, 242), (150, 158, 170)
LARGE, SMALL = 18, 14
MOST_LINES = 12
"""Lines of heading that are shown of one long text."""


@dataclass(frozen=True)
class Tile:
    """A picture, uint8 (H, W, 3), and what is written under it."""

    picture: np.ndarray
    label: str


def evenly(count: int, most: int) -> list[int]:
    """Return at most so many positions of count, evenly spread, the first and the last among them."""
    shown = min(count, most)
    return [round(step * (count - 1) / max(1, shown - 1)) for step in range(shown)]


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return a picture in the size of a tile, at its own aspect."""
    height, width = picture.shape[:2]
    scale = max(math.sqrt(TILE_PIXELS / (width * height)), LEAST_WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def contact_sheet(
    path: Path, tiles: Sequence[Tile], *, columns: int, title: Sequence[str], facts: Sequence[str]
) -> None:
    """Write tiles of one size as a PNG file. title: lines in large letters; facts: lines in small ones."""
    tile_height, tile_width = tiles[0].picture.shape[:2]
    columns = min(columns, len(tiles))
    width = 2 * MARGIN + columns * (tile_width + GAP) - GAP
    # Wide enough that a heading over few pictures is not one word a line.
    width = max(width, 3 * LEAST_WIDTH + 2 * MARGIN)
    large, small = _font(LARGE), _font(SMALL)
    heading = [(line, large, INK) for text in title for line in _wrapped(text, large, width - 2 * MARGIN)]
    heading += [("", small, DIM)] * bool(title and facts)
    heading += [(line, small, DIM) for text in facts for line in _wrapped(text, small, width - 2 * MARGIN)]
    top = MARGIN + sum(_line_height(font) for _, font, _ in heading) + GAP * bool(heading)
    row_height = tile_height + _line_height(small) + GAP
    height = top + math.ceil(len(tiles) / columns) * row_height - GAP + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    down = MARGIN
    for line, font, color in heading:
        draw.text((MARGIN, down), line, font=font, fill=color)
        down += _line_height(font)
    for number, tile in enumerate(tiles):
        left, up = MARGIN + number % columns * (tile_width + GAP), top + number // columns * row_height
        sheet.paste(Image.fromarray(tile.picture), (left, up))
        draw.text((left, up + tile_height + 2), _cut(tile.label, small, tile_width), font=small, fill=DIM)
    sheet.save(path, format="PNG", compress_level=3)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    return round(font.size * 1.35)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most so many pixels; what is beyond the most lines is counted."""
    lines, rest = [], _printable(text)
    while rest and len(lines) < MOST_LINES:
        line = _cut(rest, font, width, end="")
        if len(line) < len(rest) and (space := line.rfind(" ")) > 0:
            line = line[:space]
        lines.append(line)
        rest = rest[len(line) :].lstrip(" ")
    return [*lines, f"... and {len(rest):,} more characters"] if rest else lines


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int, *, end: str = "...") -> str:
    """Return as much of a text as so many pixels hold, at least one letter."""
    text = _printable(text)
    # More letters than this fit in no font; measuring all of a huge caption would take as long as it is.
    if len(text) <= width and font.getlength(text) <= width:
        return text
    fits, beyond = 1, min(len(text), width) + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        if font.getlength(text[:middle] + end) <= width:
            fits = middle
        else:
            beyond = middle
    return text[:fits] + end


def _printable(text: str) -> str:
    """Return a text in one line without what no font can set, such as halves of letters in odd file names."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
