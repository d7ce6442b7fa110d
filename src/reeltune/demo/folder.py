"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        _name(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _name(draft: Path, folder: Path) -> None:
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
