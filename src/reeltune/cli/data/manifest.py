"""`reeltune data manifest`: what becomes of every file, as a page, as JSON or as a Parquet file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reeltune.cli.source import add_source_arguments
from reeltune.errors import ConfigError

if TYPE_CHECKING:
    from reeltune.config.load import Loaded
    from reeltune.contracts.clip import Manifest

LINE = "every file: used how, or left out why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print all rows for programs")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="also write all rows into a Parquet file")
    parser.add_argument("--left-out", action="store_true", help="name every file that is left out")
    parser.add_argument("--decode", action="store_true", help="decode every trained frame now, to find what breaks")
    add_source_arguments(parser)


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Show the manifest; 2 when nothing in it can be trained."""
    from reeltune.cli.data.page import loaded_for, paper, show

    loaded = loaded_for(arguments, words)
    # Not before: a wrong option is told at once.
    from reeltune.data.scan import NO_CAPTION

    if arguments.parquet:
        _check_place(arguments.parquet, loaded)
    manifest = _manifest(loaded, decode=arguments.decode)
    if arguments.parquet:
        _write_table(manifest, arguments.parquet, loaded)
    if arguments.json:
        print(_json(loaded, manifest))
    else:
        from reeltune.cli.data.manifest_lines import manifest_lines

        show(manifest_lines(loaded, manifest, paper(), name_all=arguments.left_out))
    if any(row.kind == NO_CAPTION for row in manifest.rows):
        # Shown first, and only then refused: it is by this table that captions are mended.
        _look(loaded)
    return 0 if any(row.sample for row in manifest.trained) else 2


def _manifest(loaded: Loaded, *, decode: bool) -> Manifest:
    from reeltune.contracts.clip import Manifest
    from reeltune.report.console import track
    from reeltune.run.manifest import whatever_is_missing

    manifest = _look(replace(loaded, datasets=whatever_is_missing(loaded.datasets)))
    if not decode:
        return manifest
    from reeltune.cli.train import quiet_threads

    quiet_threads()
    from reeltune.run.decode_check import decode_all

    datasets = loaded.datasets
    return Manifest(
        tuple(decode_all(manifest.trained, datasets.trained, track)),
        tuple(decode_all(manifest.held_out, datasets.clips, track)),
    )


def _look(loaded: Loaded) -> Manifest:
    """Look at every file. Raises DataError where too many captions are missing."""
    from reeltune.families import family_facts
    from reeltune.report.console import track
    from reeltune.run.manifest import look_at

    return look_at(loaded.config, loaded.datasets, family_facts(loaded.config.model), track)


def _check_place(table: Path, loaded: Loaded) -> None:
    """Refuse a table that would lie among clips, or where a folder is."""
    if table.is_dir():
        raise ConfigError(f"--parquet {table} is a folder; name a file, such as {table / 'manifest.parquet'}")
    place = os.path.realpath(table)
    for folder in (dataset.instance_data_dir for dataset in loaded.datasets.clips):
        if folder and Path(place).is_relative_to(os.path.realpath(Path(folder).expanduser())):
            raise ConfigError(f"--parquet {table}: {folder} is a dataset's folder and is never written to")


def _write_table(manifest: Manifest, table: Path, loaded: Loaded) -> None:
    from reeltune.data.manifest_records import write_manifest_table

    try:
        write_manifest_table(manifest.rows, table, datasets=loaded.datasets.clips)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"--parquet {table} cannot be written: {why}; name another place") from error


def _json(loaded: Loaded, manifest: Manifest) -> str:
    from reeltune.data.manifest import by_dataset, files_of, used_files
    from reeltune.data.manifest_records import manifest_records

    rows = manifest_records(manifest.rows, loaded.datasets.clips)
    datasets = {
        name: {"files": len(files_of(own)), "used": used_files(own), "windows": sum(bool(row.sample) for row in own)}
        for name, own in by_dataset(manifest.rows).items()
    }
    return json.dumps({"datasets": datasets, "rows": rows}, indent=2)
