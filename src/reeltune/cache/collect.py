"""What a cache holds, and what of it nobody needs any more. No torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reeltune.cache.entries import REFERENCES, EntryFile, entry_files, remove_stale_drafts, stale_drafts
from reeltune.cache.references import Reference, keys_needed, read_references


@dataclass(frozen=True)
class Contents:
    """One cache folder. missing: entries that are needed and not there. gone: references nobody can ask for any more.

    entries, orphans: those that are there, and of these those that nobody needs.
    """

    folder: Path
    entries: tuple[EntryFile, ...]
    orphans: tuple[EntryFile, ...]
    missing: int
    users: tuple[Reference, ...]
    gone: tuple[Reference, ...]
    drafts: tuple[Path, ...]


def contents_of(folder: Path) -> Contents:
    """Look at a cache folder; nothing is changed."""
    entries = tuple(entry_files(folder))
    # After the entries: a run that starts now writes down what it needs before it looks for it.
    references = read_references(folder)
    needed = keys_needed(references)
    return Contents(
        folder,
        entries,
        orphans=tuple(entry for entry in entries if entry.key not in needed),
        missing=len(needed - {entry.key for entry in entries}),
        users=tuple(reference for reference in references if reference.is_living),
        gone=tuple(reference for reference in references if not reference.is_living),
        drafts=tuple(stale_drafts(folder)),
    )


def remove_orphans(contents: Contents) -> list[EntryFile]:
    """Remove what nobody needs from a cache, and return the entries that went.

    A run may start meanwhile: whenever a reference is written, all are read again.
    """
    removed: list[EntryFile] = []
    needed: Collection[str] = ()
    seen = -1
    for entry in contents.orphans:
        if (now := _references_changed(contents.folder)) != seen:
            seen, needed = now, keys_needed(read_references(contents.folder))
        if entry.key not in needed:
            entry.path.unlink(missing_ok=True)
            removed.append(entry)
    for reference in contents.gone:
        reference.path.unlink(missing_ok=True)
    remove_stale_drafts(contents.folder)
    return removed


def _references_changed(folder: Path) -> int:
    return (folder / REFERENCES).stat().st_mtime_ns
