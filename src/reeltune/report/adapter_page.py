"""The page about a file of weights: what it is, what it was made for, and how much it changes where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.filesize import decimal
from rich.text import Text

from reeltune.contracts.adapter_report import AdapterReport, BlockChange, Contents, Part, Strength, TransformerReport
from reeltune.report.bars import bar, bar_marks
from reeltune.report.outlook_layout import BAD, MARGIN, Paper, named, printable, table, title, wrapped
from reeltune.report.outlook_words import counted, large

BAR = "cyan"
"""How bars look on a terminal."""
WARNING = "yellow"
LONGEST_BAR = 40
"""In columns; a longer one tells no more."""
FEW_BLOCKS = 12
"""So many blocks stand below each other; more stand in two columns."""
GAP = 4
"""Columns between the two."""


def adapter_lines(report: AdapterReport, paper: Paper) -> list[Text]:
    """Return the page about an adapter."""
    report = printable(report, paper.encoding)
    lines = [title(f"{', '.join(report.kinds)} in {report.contents.path}"), *named(_adapter_rows(report), paper)]
    if report.blocks:
        lines += [
            Text(),
            title("How much each block changes"),
            *_legend(report.blocks, paper),
            *_block_lines(report.blocks, paper),
        ]
        lines += wrapped(report.measured, paper, first=" " * MARGIN, indent=MARGIN) if report.measured else []
    if report.largest:
        lines += [Text(), title("Where it changes most"), *table([*_largest_rows(report)], paper)]
    if report.warnings:
        lines += [Text(), title("To know"), *_warning_lines(report.warnings, paper)]
    return lines


def transformer_lines(report: TransformerReport, paper: Paper) -> list[Text]:
    """Return the page about a whole transformer."""
    report = printable(report, paper.encoding)
    rows = [("model", report.fits), ("layout", report.layout), *_contents_rows(report.contents, files=report.files)]
    return [title(f"A whole transformer in {report.contents.path}"), *named(rows, paper)]


def report_json(report: AdapterReport | TransformerReport) -> str:
    """Return all of the record as JSON in ASCII. what: adapter or transformer."""
    what = "adapter" if isinstance(report, AdapterReport) else "transformer"
    return json.dumps({"what": what, **asdict(report)}, indent=2, allow_nan=False)


def measure(strength: Strength) -> str:
    """Return how large a change is in words: as a share of the weights where that is known."""
    parts = [
        "" if strength.size is None else f"{strength.size:#.3g}".rstrip("."),
        "" if strength.share is None else f"{100 * strength.share:.3g} %",
    ]
    return ", ".join(filter(None, parts)) or "not known"


def _adapter_rows(report: AdapterReport) -> Iterator[tuple[str, str]]:
    yield "base model", report.base or "not named in the file"
    yield "its fingerprint", report.base_fingerprint or ""
    yield "fits", report.fits
    yield "layout", report.layout
    yield "rank", _several([str(rank) for rank in report.ranks])
    yield "alpha", _alpha(report)
    yield "layers", _matched(report.layers, report.of_layers, report.parts)
    yield "trained for", "" if report.step is None else counted(report.step, "step")
    yield from report.settings
    yield from _contents_rows(report.contents)


def _alpha(report: AdapterReport) -> str:
    """Say what stands in the file, and by what the factors' product is multiplied in the end."""
    scales = _several([f"{scale:.4g}" for scale in report.scales])
    if not scales:
        return ""
    written = _several([f"{alpha:.4g}" for alpha in report.alphas])
    trained = report.trained_alpha
    multiplied = trained is not None and trained not in report.alphas
    before = f"; trained with {trained:.4g}, which is multiplied into the tensors" if multiplied else ""
    return f"{written or 'none in the file, so taken as the rank'}; effective scale {scales}{before}"


def _matched(layers: int, of: int, parts: Sequence[Part]) -> str:
    groups = [f"{part.name} {part.matched} of {part.of}" for part in parts if part.matched]
    return f"{layers:,} of {of:,}: {', '.join(groups)}"


def _contents_rows(contents: Contents, *, files: int = 1) -> Iterator[tuple[str, str]]:
    yield "parameters", f"{large(contents.parameters)} in {' and '.join(contents.number_types)}"
    several = f" in {files} files" if files > 1 else ""
    yield "size", decimal(contents.size_bytes) + several


def _several(values: Sequence[str]) -> str:
    """Return a few values one by one, and many as a range."""
    return ", ".join(values) if len(values) <= 4 else f"{values[0]} to {values[-1]} ({len(values)} different)"


def _block_lines(blocks: Sequence[BlockChange], paper: Paper) -> list[Text]:
    """Draw a bar for each block; many blocks stand in two columns."""
    names = [_block_name(block.number) for block in blocks]
    values = [measure(block.strength) for block in blocks]
    drawn = _levels(blocks)
    edge, end = max(map(len, names)), max(map(len, values))
    columns = 2 if len(blocks) > FEW_BLOCKS else 1
    room = (paper.width - MARGIN - (columns - 1) * GAP) // columns - edge - end - 3
    longest = max(4, min(LONGEST_BAR, room))
    marks = bar_marks(paper.encoding)
    cells = [
        Text.assemble(name.rjust(edge), " ", (bar(level, longest, marks).ljust(longest), BAR), "  ", value.rjust(end))
        for name, value, level in zip(names, values, drawn, strict=True)
    ]
    height = -(-len(cells) // columns)
    return [_row(cells[index::height]) for index in range(height)]


def _legend(blocks: Sequence[BlockChange], paper: Paper) -> list[Text]:
    """Say what the numbers are."""
    norm = "" if blocks[0].strength.size is None else "the Frobenius norm of W' - W over its layers"
    part = "" if blocks[0].strength.share is None else "the same as a share of the base's weights W"
    text = ", ".join(filter(None, [norm, part])) if norm else "as a share of the base's weights W, on average"
    return [Text(line.plain, "dim") for line in wrapped(text, paper, first=" " * MARGIN, indent=MARGIN)]


def _row(cells: Sequence[Text]) -> Text:
    line = Text(" " * MARGIN) + Text(" " * GAP).join(cells)
    line.rstrip()
    return line


def _levels(blocks: Sequence[BlockChange]) -> list[float]:
    """Return how long each bar is, from 0 to 1: by shares of the weights where all are known."""
    shares = [block.strength.share for block in blocks]
    sizes = [block.strength.size for block in blocks]
    values = [value or 0.0 for value in (sizes if None in shares else shares)]
    highest = max(values)
    return [value / highest if highest > 0 else 0.0 for value in values]


def _block_name(number: int | None) -> str:
    return "outside" if number is None else str(number)


def _largest_rows(report: AdapterReport) -> Iterator[tuple[str, str, str]]:
    several = len(report.kinds) > 1
    for layer in report.largest:
        yield layer.name, measure(layer.strength), layer.kind if several else ""


def _warning_lines(warnings: Sequence[str], paper: Paper) -> Iterator[Text]:
    for warning in warnings:
        style = BAD if warning.startswith("This file changes nothing") else WARNING
        yield from wrapped(Text(warning, style), paper, first=" " * MARGIN, indent=MARGIN)
