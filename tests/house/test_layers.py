"""Rooms import only from lines below their own, so that each can be read, and tested, alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/reeltune"

LINES = (
    ("errors", "log", "whole_files"),
    ("contracts", "machine", "media", "modes", "randomness", "remembered", "secrets", "tensor_files"),
    ("config",),
    ("data", "objective", "adapters", "routing", "quantize", "estimate", "manual"),
    ("cache",),
    ("train", "report", "families", "demo"),
    ("run",),
    ("cli",),
    ("__main__",),
)
"""From the ground up. Rooms on one line never import each other."""

LINE_OF = {room: line for line, rooms in enumerate(LINES) for room in rooms}

WITHOUT_TORCH = ("config", "report", "cli", "errors", "log", "media", "machine", "estimate", "manual", "randomness")
"""Rooms that must open quickly, or that only look at what others wrote."""


def imported(source: str) -> Iterator[str]:
    """Yield the names of all that a file imports, wherever in the file: modules, and what is taken out of them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # `from reeltune import families` names a room only in its alias.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def forbidden(room: str, source: str) -> list[str]:
    """Return the imports of a room's file that reach sideways or up."""
    names = [name for name in imported(source) if name.startswith("reeltune.") and name != "reeltune.__version__"]
    rooms = dict.fromkeys(name.split(".")[1] for name in names)
    return [other for other in rooms if other != room and LINE_OF[other] >= LINE_OF[room]]


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_from_below(path: Path) -> None:
    assert forbidden(room_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("data", "from reeltune.families.fingerprint import fingerprint"),
        ("train", "import reeltune.report.console"),
        ("objective", "def f():\n    from reeltune.train.loop import Loop"),
        ("report", "from reeltune.train.results import FILE_NAME"),
        ("train", "from reeltune import families"),
        ("config", "from reeltune import __version__, errors, run as later"),
    ],
)
def test_a_forbidden_import_is_found(room: str, line: str) -> None:
    assert forbidden(room, line)


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in WITHOUT_TORCH], ids=lambda path: path.stem)
def test_light_rooms_do_not_import_torch_themselves(path: Path) -> None:
    heavy = {"torch", "diffusers", "transformers", "peft"}
    assert not heavy & {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}


def test_only_families_and_declarations_know_a_family_by_name() -> None:
    allowed = {"families", "config", "manual", "demo", "cli"}
    for path in FILES:
        if room_of(path) in allowed:
            continue
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert "wan" not in strings, path


def test_the_loop_never_imports_trackers_or_the_hub() -> None:
    for path in (SOURCE / "train").glob("*.py"):
        names = {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}
        assert not names & {"wandb", "huggingface_hub", "diffusers", "transformers"}, path
