"""Files that break when their frames are decoded: remembered on their dataset's list, and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reeltune.contracts.clip import FileRef, ManifestRow
from reeltune.data.quarantine import Quarantine
from reeltune.data.scan import UNREADABLE


def remember_broken(broken: Mapping[FileRef, str], folder: Path) -> None:
    """Put files on a dataset's list, with the reasons. folder: its cache_dir_vae."""
    quarantine = Quarantine(folder)
    for file, reason in broken.items():
        quarantine.add(file, reason)
    quarantine.save()


def without_broken(row: ManifestRow, broken: Mapping[str, str]) -> ManifestRow:
    """Return a row that says why its file is left out, where that broke. broken: reasons by origin."""
    if row.sample is None or row.origin not in broken:
        return row
    return replace(row, sample=None, reason=f"{UNREADABLE}: {broken[row.origin]}")
