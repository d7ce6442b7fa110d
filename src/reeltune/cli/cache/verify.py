"""`reeltune cache verify`: read every entry, and remove what is damaged, so that the next start makes it anew."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from reeltune.cli.cache.folders import cache_folders
from reeltune.cli.source import add_source_arguments, command

LINE = "read every entry and remove damaged ones; the next start makes them anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Verify every cache of a configuration; 1 when anything was damaged."""
    from reeltune.cache.check import damaged_entries
    from reeltune.cache.entries import entry_files
    from reeltune.report.console import track
    from reeltune.report.outlook_words import counted

    count = 0
    damaged = []
    for cache in cache_folders(arguments, words):
        entries = list(entry_files(cache.folder))
        count += len(entries)
        damaged += damaged_entries(track(entries, f"reading {cache.folder.name}", len(entries), "entries"))
    for entry in damaged:
        entry.path.unlink(missing_ok=True)
        print(f"damaged, removed: {entry.path}")
    read = f"{counted(count, 'entry', 'entries')} read, {len(damaged) or 'none'} damaged"
    rebuild = f"; `{command('prepare', arguments, words)}` makes them anew" if damaged else ""
    print(read + rebuild)
    return 1 if damaged else 0
