"""What the views of the data share: the configuration that is asked about, and pages of lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reeltune.cli.source import find_source, load_source
from reeltune.cli.train import make_data

if TYPE_CHECKING:
    from rich.text import Text

    from reeltune.config.load import Loaded
    from reeltune.report.outlook_layout import Paper


def loaded_for(arguments: argparse.Namespace, words: Sequence[str]) -> Loaded:
    """Read the configuration that a command is about. Only the page itself goes to the standard output."""
    source = find_source(arguments, words)
    loaded = load_source(source)
    make_data(source, lambda line: print(line, file=sys.stderr, flush=True))
    return loaded


def paper() -> Paper:
    """Return what a page is written on here."""
    from rich.console import Console

    from reeltune.report.outlook import WIDTHS
    from reeltune.report.outlook_layout import Paper

    console, (least, most) = Console(), WIDTHS
    return Paper(min(most, max(least, console.width)), console.encoding)


def show(lines: Sequence[Text]) -> None:
    """Print a page."""
    from rich.console import Console

    console = Console()
    for line in lines:
        # Wrapped by then; what is still too long, such as a path, is the terminal's to wrap, so that it can be copied.
        console.print(line, soft_wrap=True)


def heading(text: str, on: Paper) -> list[Text]:
    """Return the lines that open a part of a page."""
    from reeltune.report.outlook_layout import printable, title

    return [title(printable(text, on.encoding))]


def sentence(text: str, on: Paper, *, depth: int = 1) -> list[Text]:
    """Return the lines of a sentence. depth: how far to the right, in steps of two columns."""
    from reeltune.report.outlook_layout import printable, wrapped

    return wrapped(printable(text, on.encoding), on, first="  " * depth, indent=2 * depth + 2)


def some(lines: Sequence[str], most: int, *, more: str) -> Iterator[str]:
    """Give the first lines, and how many more there are. more: what names all of them."""
    yield from lines[:most]
    if len(lines) > most:
        yield f"... and {len(lines) - most:,} more; {more}"
