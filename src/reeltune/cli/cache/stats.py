"""`reeltune cache stats`: what lies in each cache, and how much of it is used."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reeltune.cli.cache.folders import CacheFolder, cache_folders
from reeltune.cli.source import add_source_arguments, command

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
    print(_summary([contents for _, contents in looked], collect=command("cache gc", arguments, words)))
    if any(not contents.users for _, contents in looked):
        prepare = command("prepare", arguments, words)
        print(f"Of caches that nobody uses yet, `{prepare}` finds out what is to be encoded, and does it.")
    return 0


def _summary(caches: Sequence[Contents], *, collect: str) -> str:
    """Say what is used again, is to be encoded and is needed by nobody, over all caches. collect: what to type."""
    from rich.filesize import decimal

    orphans = [entry for contents in caches for entry in contents.orphans]
    reused = sum(len(contents.entries) - len(contents.orphans) for contents in caches)
    missing = sum(contents.missing for contents in caches)
    size = f" ({decimal(sum(entry.size_bytes for entry in orphans))})" if orphans else ""
    advice = f"; `{collect}` removes the orphans" if orphans else ""
    return f"reuse {reused}, rebuild {missing}, orphans {len(orphans)}{size}{advice}"


def _missing(contents: Contents) -> str:
    return f"{contents.missing} more are to be encoded" if contents.users else "nobody has said yet what is needed"


def _lines(cache: CacheFolder, contents: Contents) -> list[str]:
    from rich.filesize import decimal

    entries = contents.entries
    packed = sum(entry.packed for entry in entries)
    lines = [
        f"{cache.folder} ({', '.join(cache.names)})",
        f"  entries   {len(entries)}, {decimal(sum(entry.size_bytes for entry in entries))}, {packed} compressed",
        f"  in use    {len(entries) - len(contents.orphans)}, {_missing(contents)}",
        f"  orphans   {len(contents.orphans)}, {decimal(sum(entry.size_bytes for entry in contents.orphans))}",
        *(f"  used by   {reference.output_dir}" for reference in contents.users),
        *(f"  unused by {reference.output_dir}: {reference.files_gone}" for reference in contents.gone),
    ]
    for folder in cache.fetched:
        files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        if files:
            lines.append(f"  fetched   {len(files)} files, {decimal(sum(file.stat().st_size for file in files))}")
    return lines
