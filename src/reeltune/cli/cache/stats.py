"""`reeltune cache stats`: what lies in each cache, and how much of it is used."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reeltune.cli.cache.folders import CacheFolder, cache_folders
from reeltune.cli.source import add_source_arguments

if TYPE_CHECKING:
    from reeltune.cache.collect import Contents

LINE = "show what the caches hold: entries, bytes, who uses them, what nobody needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Print what each cache of a configuration holds, and what the next start would use again."""
    from reeltune.cache.collect import contents_of

    looked = [(cache, contents_of(cache.folder)) for cache in cache_folders(arguments, words)]
    for cache, contents in looked:
        print("\n".join(_lines(cache, contents)))
    print(summary([contents for _, contents in looked]))
    return 0


def summary(caches: Sequence[Contents]) -> str:
    """Say what the next start would use again and what nobody needs, over all caches."""
    from rich.filesize import decimal

    orphans = [entry for contents in caches for entry in contents.orphans]
    reused = sum(len(contents.entries) - len(contents.orphans) for contents in caches)
    missing = sum(contents.missing for contents in caches)
    size = f" ({decimal(sum(entry.size_bytes for entry in orphans))})" if orphans else ""
    advice = "; `reeltune cache gc` removes the orphans" if orphans else ""
    return f"reuse {reused}, rebuild {missing}, orphans {len(orphans)}{size}{advice}"


def _lines(cache: CacheFolder, contents: Contents) -> list[str]:
    from rich.filesize import decimal

    entries = contents.entries
    packed = sum(entry.packed for entry in entries)
    lines = [
        f"{cache.folder} ({', '.join(cache.names)})",
        f"  entries   {len(entries)}, {decimal(sum(entry.size_bytes for entry in entries))}, {packed} compressed",
        f"  in use    {len(entries) - len(contents.orphans)}, {contents.missing} more are to be encoded",
        f"  orphans   {len(contents.orphans)}, {decimal(sum(entry.size_bytes for entry in contents.orphans))}",
        *(f"  used by   {reference.output_dir}" for reference in contents.users),
        *(f"  unused by {reference.output_dir}: {reference.files_gone}" for reference in contents.gone),
    ]
    for folder in cache.fetched:
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        if files:
            lines.append(f"  fetched   {len(files)} files, {decimal(sum(file.stat().st_size for file in files))}")
    return lines
