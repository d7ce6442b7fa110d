"""What a run needs of disks and of the GPU's memory, against what there is: a part of the plan's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.filesize import decimal
from rich.text import Text

from reeltune.contracts.outlook import Card, DiskNeed, MemoryNeed, Outlook
from reeltune.report.outlook_layout import BAD, Paper, table, title, wrapped
from reeltune.report.outlook_words import gib


def disk_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return what is to be written on each disk, and what is free there; nothing where nothing is written."""
    lines = []
    for number, needs in enumerate(_by_disk(outlook.disk)):
        rows = [[need.what, decimal(need.need_bytes), need.folder] for need in needs]
        lines += _headed("Another disk" if number else "Disk space", _against_free(needs), paper)
        lines += table(rows, paper)
    return lines


def memory_lines(outlook: Outlook, paper: Paper) -> list[Text]:
    """Return the GPU memory of each stage, and what the card has; nothing where no stage is known."""
    if not outlook.memory:
        return []
    rows = [_memory_row(need, outlook.card) for need in outlook.memory]
    return [*_headed("GPU memory, estimated", _card(outlook.card), paper), *table(rows, paper)]


def shortages(outlook: Outlook) -> Iterator[str]:
    """Yield a sentence for each thing that will not fit, with what helps."""
    yield from (_disk_shortage(needs) for needs in _by_disk(outlook.disk) if _lacks_space(needs))
    for need in outlook.memory:
        if outlook.card and (lacking := _lacking(need, outlook.card)):
            yield f"{need.stage}: {gib(need.need_bytes)} GiB of GPU memory, {lacking}{_help(need, outlook.card)}"


def _by_disk(needs: Sequence[DiskNeed]) -> list[list[DiskNeed]]:
    """Return the needs of each disk. Folders are on one disk when the same is free there."""
    disks = dict.fromkeys(need.free_bytes for need in needs)
    return [[need for need in needs if need.free_bytes == free] for free in disks]


def _disk_shortage(needs: Sequence[DiskNeed]) -> str:
    written = [need for need in needs if need.need_bytes]
    what = ", ".join(dict.fromkeys(need.what for need in written))
    options = ", ".join(dict.fromkeys(need.option for need in written))
    sizes = f"{decimal(_total(needs))} are needed and {decimal(needs[0].free_bytes)} are free"
    return f"{what}: {sizes}; make room, or name folders on another disk: {options}"


def _total(needs: Sequence[DiskNeed]) -> int:
    return sum(need.need_bytes for need in needs)


def _lacks_space(needs: Sequence[DiskNeed]) -> bool:
    return _total(needs) > needs[0].free_bytes


def _against_free(needs: Sequence[DiskNeed]) -> Text:
    sizes = f"{decimal(_total(needs))} of {decimal(needs[0].free_bytes)} free"
    return Text.assemble(sizes, (", NOT ENOUGH" if _lacks_space(needs) else "", BAD))


def _card(card: Card | None) -> str:
    if card is None:
        return "no GPU was found here"
    return f"{card.name}, {gib(card.memory_bytes)} GiB, of which {gib(card.free_bytes)} are free"


def _headed(heading: str, text: str | Text, paper: Paper) -> list[Text]:
    return wrapped(text, paper, first=Text.assemble(title(f"{heading}:"), " "), indent=2)


def _memory_row(need: MemoryNeed, card: Card | None) -> list[str | Text]:
    parts = ", ".join(f"{name} {gib(size)}" for name, size in need.parts)
    lacking = _lacking(need, card) if card else ""
    marked = Text.assemble((lacking.upper(), BAD), ": " * bool(lacking and parts), parts)
    return [need.stage, f"{gib(need.need_bytes)} GiB", marked]


def _lacking(need: MemoryNeed, card: Card) -> str:
    if need.need_bytes > card.memory_bytes:
        return "more than the card has"
    return "more than is free now" if need.need_bytes > card.free_bytes else ""


def _help(need: MemoryNeed, card: Card) -> str:
    """Return what would make a stage fit; programs that use the card can be ended only where it is large enough."""
    ways = ["end what else uses it"] * (need.need_bytes <= card.memory_bytes)
    ways += [f"less with {need.less_with}"] * bool(need.less_with)
    return "; ".join(["", *ways])
