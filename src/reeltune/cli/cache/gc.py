"""`reeltune cache gc`: remove entries that no configuration needs any more."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from reeltune.cli.cache.folders import cache_folders
from reeltune.cli.source import add_source_arguments
from reeltune.errors import DataError

LINE = "remove entries that no configuration needs; fetched files stay"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Remove orphans and unfinished drafts from every cache of a configuration."""
    from rich.filesize import decimal

    from reeltune.cache.collect import contents_of, remove_orphans
    from reeltune.report.outlook_words import counted

    caches = [contents_of(cache.folder) for cache in cache_folders(arguments, words)]
    unknown = [contents for contents in caches if contents.entries and not contents.users]
    if unknown:
        raise DataError(
            f"{unknown[0].folder} holds {len(unknown[0].entries)} entries, and no configuration that is still there "
            "has said which it needs. Run `reeltune prepare` first: it writes that down, and encodes only what is "
            "missing."
        )
    for reference in (reference for contents in caches for reference in contents.gone):
        print(f"{reference.files_gone}: what it needed in {reference.path.parent.parent} counts no more")
    if arguments.dry_run:
        gone, verb = [entry for contents in caches for entry in contents.orphans], "to be removed"
    else:
        gone, verb = [entry for contents in caches for entry in remove_orphans(contents)], "removed"
    drafts = sum(len(contents.drafts) for contents in caches)
    size = decimal(sum(entry.size_bytes for entry in gone))
    print(f"{counted(len(gone), 'entry', 'entries')} ({size}) and {counted(drafts, 'unfinished draft')} {verb}")
    return 0
