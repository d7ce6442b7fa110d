"""The pages for people, taken apart: fenced blocks, command lines, inline code, links, headings."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = (
    ROOT / "README.md",
    ROOT / "docs/quickstart.md",
    ROOT / "docs/data.md",
    ROOT / "docs/adapters.md",
    ROOT / "docs/training.md",
    ROOT / "docs/evaluation.md",
    ROOT / "docs/tread.md",
    ROOT / "docs/install.md",
    *sorted((ROOT / "examples").glob("*/README.md")),
)
"""What a newcomer reads."""

FENCE = re.compile(r"^ *```(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block. kind: what stands after its fence. line: of its first line of text."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order, without their indentation."""
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened = number, fence[1].strip()
        elif fence and opened:
            text = textwrap.dedent("\n".join(lines[opened[0] : number - 1]))
            found.append(Block(str(path.relative_to(ROOT)), opened[0] + 1, opened[1], text))
            opened = None
    assert opened is None, f"{path}: the block of line {opened} is not closed"
    return found


def command_lines(block: Block) -> list[str]:
    """Return what a bash block has to type, line by line, without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def prose(path: Path) -> str:
    """Return a page without its fenced blocks."""
    outside, inside = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            outside.append(line)
    return "\n".join(outside)


def inline_code(path: Path) -> list[str]:
    """Return what stands between single backticks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield (file, anchor) for each link that stays in the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if not target.startswith(("http://", "https://", "mailto:")):
            name, _, anchor = target.partition("#")
            yield (path.parent / name if name else path), anchor


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
