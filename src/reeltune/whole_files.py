"""Files and folders that are whole or not there at all: written beside their place, then given their name."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Any

DRAFTS = ".*.writing"
"""The names of everything that is not whole yet, as a pattern."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a hidden place to write that becomes `path` when the block ends well, and is gone when it does not.

    The folder is made if need be. Several processes and threads may write the same file: the last one wins, whole.
    """
    draft = path.with_name(f".{path.name}.{threading.get_native_id()}.{os.getpid()}.writing")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden sibling to write into, and give it its name once the body has ended well.

    A process that dies on the way leaves no `folder`. If another process was first, its folder stays and ours goes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _let_others_read(draft)
        _name_folder(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _name_folder(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        # Another process was first: a folder that holds something cannot be renamed over.
        if not folder.is_dir():
            raise


def _let_others_read(folder: Path) -> None:
    # safetensors writes 0600, which keeps a model made by one user from the others on the machine.
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden sibling to write into, and put it in the folder's place once the body has ended well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft, old = (folder.with_name(f".{folder.name}.{word}.{os.getpid()}.writing") for word in ("new", "old"))
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _change_places(draft, folder, old)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _change_places(draft: Path, folder: Path, old: Path) -> None:
    """Give a folder its name, and what had it another; as it was when that fails."""
    if folder.exists():
        folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise


LARGE_BYTES = 1_000_000
"""Files from here on are worth a second name instead of a copy."""


def duplicate(source: Path, target: Path) -> None:
    """Let a file stand at another place too; a link is followed.

    A large file gets a second name, which costs no room, where the disk has that: for weights, which nobody edits.
    """
    if source.stat().st_size < LARGE_BYTES or not _linked(source.resolve(), target):
        shutil.copyfile(source, target)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people and programs."""
    with whole_file(path) as draft:
        # A file name that is not UTF-8 holds lone surrogates; backslashreplace writes them as JSON's own escapes.
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")


def unused_name(path: Path) -> Path:
    """Return the path itself where nothing has that name yet, else with the first free number behind it."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(name for name in itertools.chain([path], numbered) if not name.exists())


def append_line(path: Path, line: bytes) -> None:
    """Add a line, with its end, to a file; what an earlier write left cut short does not swallow it.

    Raises OSError when it cannot be written whole.
    """
    # Unbuffered: a line is one write at the end of the file, so that a reader never meets half of one.
    with path.open("a+b", buffering=0) as file:
        content = b"\n" * _is_cut_short(file) + line
        if file.write(content) != len(content):
            raise OSError(f"{path}: the disk took a part of a line only")


def _is_cut_short(file: RawIOBase) -> bool:
    """Tell whether the last line has no end, as after a full disk or a power cut: it must not swallow the next."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
