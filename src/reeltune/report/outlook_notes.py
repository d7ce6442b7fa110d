"""What to know before starting, by kind: the end of the plan's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from reeltune.contracts.notes import Kind, Note
from reeltune.contracts.outlook import Outlook
from reeltune.report.outlook_layout import BAD, Paper, title, wrapped
from reeltune.report.outlook_room import shortages
from reeltune.report.outlook_words import counted

KINDS: tuple[tuple[Kind, str, str], ...] = (
    ("trap", "Works, but not as the words suggest", "yellow"),
    ("fallback", "Missing here, and what is used instead", "yellow"),
    ("inert", "Set, but changes nothing in this run", ""),
    ("fact", "Also good to know", ""),
)
"""Each kind's heading and its look on a terminal, in the order of the page."""

INDENT = 4
HANG = 6

COUNTED: tuple[tuple[Kind, str, str], ...] = (
    ("trap", "setting with a catch", "settings with a catch"),
    ("fallback", "thing missing", "things missing"),
    ("inert", "unused setting", "unused settings"),
)


def note_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return what does not fit, then the notes by kind; nothing where there is nothing to say."""
    groups = [*_shortages(outlook, paper), *_notes(outlook.notes, paper)]
    return [title("Worth knowing before you start"), *groups] if groups else []


def announced(outlook: Outlook) -> str:
    """Return how many notes of which kinds stand at the end of the page; empty without any that ask for attention."""
    kinds = Counter(note.kind for note in outlook.notes)
    numbers = [
        (len(list(shortages(outlook))), "shortage", "shortages"),
        *((kinds[kind], *names) for kind, *names in COUNTED),
    ]
    counts = [counted(number, *names) for number, *names in numbers if number]
    if not counts:
        return ""
    *others, last = counts
    return f"{', '.join(others)} and {last}" if others else last


def _shortages(outlook: Outlook, paper: Paper) -> Iterator[Text]:
    sentences = list(shortages(outlook))
    if sentences:
        yield _heading("Will not fit", BAD)
    for sentence in sentences:
        yield from wrapped(_ended(sentence), paper, first=" " * INDENT, indent=HANG)


def _notes(notes: Sequence[Note], paper: Paper) -> Iterator[Text]:
    for kind, heading, style in KINDS:
        own = [note for note in notes if note.kind == kind]
        if own:
            yield _heading(heading, style)
        for text in dict.fromkeys(note.text for note in own):
            about = ", ".join(dict.fromkeys(note.about for note in own if note.text == text))
            note = Text.assemble((f"{about}:", "bold"), f" {_ended(text)}")
            yield from wrapped(note, paper, first=" " * INDENT, indent=HANG)


def _heading(words: str, style: str) -> Text:
    return Text.assemble("  ", (words, style))


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
