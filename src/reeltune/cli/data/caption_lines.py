"""The captions as a page: each dataset with what was found where, how long it is, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from reeltune.cli.data.page import heading, sentence, some
from reeltune.config.datasets import CaptionStrategy
from reeltune.config.root import Config
from reeltune.data.caption_survey import Survey
from reeltune.report.outlook_layout import Paper
from reeltune.report.outlook_words import counted
from reeltune.run.caption_lengths import Lengths, caption_lengths

WHERE: Mapping[CaptionStrategy, str] = {
    "textfile": "text files beside the clips",
    "filename": "the files' names",
    "instanceprompt": "instance_prompt",
    "parquet": "a table",
    "csv": "the table that lists the files",
    "huggingface": "the hub dataset",
}

EXAMPLES = 5
BEGINNING = 60
"""Characters of a caption that are shown."""


def caption_page(surveys: Sequence[Survey], config: Config, paper: Paper, *, name_all: bool) -> list[Text]:
    """Return the page. name_all: whether every file is named where only some would be."""
    lines: list[Text] = []
    for one in surveys:
        lengths = caption_lengths([caption for _, caption in one.captions], config)
        lines += heading(f"{one.dataset_id}: captions from {WHERE[one.strategy]}", paper)
        for depth, text in _sentences(one, lengths, most=len(one.words) + len(one.unused) if name_all else EXAMPLES):
            lines += sentence(text, paper, depth=depth)
    return lines


def _sentences(one: Survey, lengths: Lengths | None, *, most: int) -> Iterator[tuple[int, str]]:
    described = len(one.words) - len(one.missing)
    yield 1, f"{counted(len(one.captions), 'caption')} of {counted(described, 'file')}, {one.several:,} with several"
    if one.changed:
        yield 1, f"{counted(one.changed, 'file')} with captions that caption_filter_list changed"
    if lengths:
        yield from _told_lengths(one, lengths, most)
    elif one.captions:
        yield 1, "their tokens are counted once the tokenizer is on this machine; `reeltune prepare` fetches it"
    missing = [f"{origin}: {reason}" for origin, reason in one.missing.items()]
    yield from _list(f"{counted(len(missing), 'file')} without a caption, left out", missing, most)
    unused = [str(path) for path in one.unused]
    yield from _list(f"{counted(len(unused), 'text file')} without a clip of that name", unused, most)


def _told_lengths(one: Survey, lengths: Lengths, most: int) -> Iterator[tuple[int, str]]:
    yield 1, lengths.in_words()
    origin, longest = max(one.captions, key=lambda pair: lengths.tokens[pair[1]])
    yield 1, f"the longest: {_told(origin, longest, lengths)}"
    cut = set(lengths.cut)
    over = [_told(origin, caption, lengths) for origin, caption in one.captions if caption in cut]
    yield from _list("cut, the end is not read", over, most)


def _told(origin: str, caption: str, lengths: Lengths) -> str:
    beginning = caption if len(caption) <= BEGINNING else caption[:BEGINNING].rstrip() + "..."
    return f"{origin}: {lengths.tokens[caption]:,} tokens: {beginning}"


def _list(heading: str, lines: Sequence[str], most: int) -> Iterator[tuple[int, str]]:
    if lines:
        yield 1, f"{heading}:"
        yield from ((2, line) for line in some(lines, most, more="--all names them"))
