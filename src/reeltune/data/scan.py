"""A dataset folder becomes one row per file, used or left out with its reason. `manifest` shows and stores the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reeltune.config.datasets import ClipDataset
from reeltune.contracts.clip import FileRef, ManifestRow, Sample
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.captions import missing_caption, read_captions
from reeltune.data.memory import ClipMemory
from reeltune.data.placement import Rules, place
from reeltune.data.sources import EXTENSIONS, find_media
from reeltune.errors import DataError, UnreadableFile

MEMORY = "clips.json"
"""In a dataset's cache folder: what was found out about its clips."""

UNREADABLE = "unreadable"
"""Opens the reason of a file that is left out because it cannot be read."""


def scan(
    dataset: ClipDataset,
    *,
    sizing: Sizing,
    minimum_image_size: float,
    geometry: LatentGeometry,
    model_fps: float,
    track: Callable[..., Iterable[Any]],
) -> tuple[ManifestRow, ...]:
    """Look at every video of a dataset and return one row for each, in the order of their paths.

    Pictures, and videos of kinds that are not read, follow with a row each that says so.

    sizing, minimum_image_size: the dataset's own or the global ones; the caller decides.
    track: called as track(files, title, total=, unit=) and iterated in place of files, to show progress.
    Raises DataError for a folder without videos, and when more than a tenth of the captions are missing.
    """
    assert sizing.alignment % geometry.side_multiple == 0, (sizing, geometry)
    media = find_media(Path(dataset.place).expanduser())
    files = media.videos
    # Captions first: they cost nothing, and a forgotten folder of captions shows before the long look at the clips.
    captions = {file.path: _captions(file.path, dataset) for file in files}
    _check_captions(captions, dataset)
    rules = Rules(dataset.video, sizing, minimum_image_size, geometry, model_fps)
    memory = ClipMemory(Path(dataset.cache_dir_vae).expanduser() / MEMORY)
    try:
        rows = [
            _row(file, captions[file.path], dataset_id=dataset.id, rules=rules, memory=memory)
            for file in track(files, f"reading {dataset.id}", total=len(files), unit="clips")
        ]
    finally:
        # Ctrl-C in a long look must not make the next one as long.
        memory.save()
    return (*rows, *(_unread_row(path, dataset.id) for path in media.unread))


def _unread_row(path: Path, dataset_id: str) -> ManifestRow:
    kind = path.suffix.lower()
    reason = f"not read: {kind} is none of {' '.join(EXTENSIONS)}; convert it"
    return ManifestRow(path, None, reason, dataset_id)


def _row(
    file: FileRef, captions: tuple[str, ...] | str, *, dataset_id: str, rules: Rules, memory: ClipMemory
) -> ManifestRow:
    try:
        info = memory.probe(file)
    except UnreadableFile as error:
        return ManifestRow(file.path, None, f"{UNREADABLE}: {error.reason}", dataset_id)
    placement = place(info, rules)
    if isinstance(placement, str):
        return ManifestRow(file.path, None, placement, dataset_id)
    if isinstance(captions, str):
        return ManifestRow(file.path, None, f"no caption: {captions}", dataset_id)
    return ManifestRow(file.path, Sample(dataset_id, file, info, placement, captions), dataset_id=dataset_id)


def _captions(file: Path, dataset: ClipDataset) -> tuple[str, ...] | str:
    """Return a clip's captions, or in words why it has none."""
    try:
        return read_captions(file, dataset) or missing_caption(file, dataset)
    except DataError as error:
        return str(error)


def _check_captions(captions: dict[Path, tuple[str, ...] | str], dataset: ClipDataset) -> None:
    missing = [reason for reason in captions.values() if isinstance(reason, str)]
    if dataset.allow_missing_captions or 10 * len(missing) <= len(captions):
        return
    # A caption for all is missing in one place only.
    shown = list(dict.fromkeys(missing))
    more = [f"... and {len(shown) - 5} more"] if len(shown) > 5 else []
    raise DataError(
        "\n  ".join(
            [
                f"dataset {dataset.id}: {len(missing)} of {len(captions)} clips have no caption, more than a tenth; "
                "mend these, choose another caption_strategy, or set allow_missing_captions to true to leave them out",
                *shown[:5],
                *more,
            ]
        )
    )
