"""The data sheet: fill the caches, decode each sample back from them, and write a page that shows what came back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reeltune.config.datasets import Datasets
from reeltune.config.load import Loaded
from reeltune.contracts.clip import Bucket, ManifestRow, Placement, Sample, samples_of
from reeltune.contracts.family import DecodeVideo
from reeltune.contracts.progress import Track
from reeltune.data.batches import Item
from reeltune.data.decode import decode
from reeltune.data.probe import probe
from reeltune.errors import CacheError, ConfigError, UnreadableFile
from reeltune.families.opening import open_family
from reeltune.report.sheet import Card, LeftOut, Sheet
from reeltune.report.sheet_page import page_html
from reeltune.run.clip_entries import ClipCache, clip_caches
from reeltune.run.held_out import measured_datasets
from reeltune.run.launch import choose_device, opening_of
from reeltune.run.prepare import Prepared
from reeltune.run.sheet_folder import SheetFolder
from reeltune.run.training import prepare

THUMBNAIL_WIDTH = 320


@dataclass(frozen=True)
class Wanted:
    """What a sheet is to show. most: samples at most. dataset: one alone, or all.

    pictures_of_left_out: whether each file that is left out and can be read gets a picture.
    """

    folder: Path
    most: int
    dataset: str | None = None
    pictures_of_left_out: bool = False


@dataclass(frozen=True)
class Shown:
    """A sample, where its encoding lies, and whether it is measured rather than trained."""

    sample: Sample
    item: Item
    held_out: bool


def make_sheet(loaded: Loaded, wanted: Wanted, *, track: Track) -> tuple[Path, Sheet]:
    """Write a sheet and return its page and what it says.

    Raises ConfigError for a folder that holds something else, or a dataset that is not there, before anything is done.
    """
    _check_dataset(wanted.dataset, loaded)
    folder = SheetFolder(wanted.folder.expanduser())
    folder.check(_read_only(loaded.datasets))
    with closing(prepare(loaded, track=track)) as prepared:
        return _written(loaded, wanted, prepared, folder, track)


def _written(
    loaded: Loaded, wanted: Wanted, prepared: Prepared, folder: SheetFolder, track: Track
) -> tuple[Path, Sheet]:
    config = loaded.config
    family = open_family(config.model, opening_of(config))
    sources = [one for one in _sources(prepared) if wanted.dataset in (None, one.sample.dataset_id)]
    chosen, fps = choose(sources, wanted.most), family.facts.fps
    caches = clip_caches(config, loaded.datasets, family.facts)
    with family.video_decoder(choose_device()) as decode_video:
        shown = track(chosen, "decoding samples", len(chosen), "samples")
        cards = [_card(one, number, decode_video, caches, folder, fps) for number, one in enumerate(shown, start=1)]
    sheet = Sheet(
        title=config.reporting.run_name,
        fps=fps,
        cards=tuple(cards),
        left_out=tuple(_left_out(wanted, prepared, folder, track)),
        samples=len(sources),
        overviews=folder.write_overviews(cards),
        redrawn=tuple(name for name, cache in caches.items() if cache.is_redrawn),
    )
    return folder.finish(page_html(sheet)), sheet


def choose(sources: Sequence[Shown], most: int) -> list[Shown]:
    """Return at most so many: the first of each dataset and bucket, then the second of each, in their own order."""
    places: dict[tuple[str, Bucket], int] = {}
    ranked = []
    for position, one in enumerate(sources):
        group = (one.sample.dataset_id, one.sample.placement.bucket)
        ranked.append((places.setdefault(group, 0), position))
        places[group] += 1
    return [sources[position] for position in sorted(position for _, position in sorted(ranked)[:most])]


def round_trip_db(came_back: np.ndarray, given: np.ndarray) -> float:
    """Return the peak signal to noise ratio of uint8 frames to those that were encoded; inf where they are equal."""
    # One at a time: 81 frames in float64 would be 0.8 GB.
    errors = [np.mean((one.astype(np.float64) - other) ** 2) for one, other in zip(came_back, given, strict=True)]
    error = float(np.mean(errors))
    return 10 * math.log10(255**2 / error) if error else math.inf


def _sources(prepared: Prepared) -> list[Shown]:
    trained, held_out = prepared.samples, samples_of(prepared.manifest.held_out)
    return [
        *(Shown(sample, item, False) for sample, item in zip(trained, prepared.items, strict=True)),
        *(Shown(sample, item, True) for sample, item in zip(held_out, prepared.held_out, strict=True)),
    ]


def _card(
    one: Shown,
    number: int,
    decode_video: DecodeVideo,
    caches: Mapping[str, ClipCache],
    folder: SheetFolder,
    fps: float,
) -> Card:
    """Decode one sample, write its files, and say how close it is to what was encoded."""
    card = Card(one.sample, one.held_out)
    try:
        frames = decode_video(one.item.latents.read(0))
    except CacheError as error:
        return replace(card, trouble=str(error))
    card = folder.write_sample(card, number, frames, fps=fps)
    try:
        given = decode(caches[one.sample.dataset_id].fetch(one.sample.file), one.sample.placement)
    except UnreadableFile as error:
        return replace(card, trouble=f"not compared with its source: {error.reason}")
    return replace(card, round_trip_db=round_trip_db(frames, given))


def _left_out(wanted: Wanted, prepared: Prepared, folder: SheetFolder, track: Track) -> list[LeftOut]:
    rows = [row for row in prepared.manifest.rows if row.sample is None and wanted.dataset in (None, row.dataset_id)]
    if not wanted.pictures_of_left_out:
        return [LeftOut(row) for row in rows]
    shown = track(rows, "looking at what is left out", len(rows), "files")
    return [_with_picture(row, number, folder) for number, row in enumerate(shown, start=1)]


def _with_picture(row: ManifestRow, number: int, folder: SheetFolder) -> LeftOut:
    """Add the first frame of a file that is left out, where it is here and can be read."""
    try:
        return LeftOut(row, folder.write_left_out(number, _first_frame(row)))
    except (UnreadableFile, OSError):
        return LeftOut(row)


def _first_frame(row: ManifestRow) -> np.ndarray:
    info = probe(row.path)
    height = max(1, round(THUMBNAIL_WIDTH * info.height / info.width))
    bucket = Bucket(THUMBNAIL_WIDTH, height, 1)
    (frame,) = decode(row.path, Placement(bucket, (0,), bucket.width, bucket.height, crop_left=0, crop_top=0))
    return frame


def _check_dataset(name: str | None, loaded: Loaded) -> None:
    known = [dataset.id for dataset in (*loaded.datasets.trained, *measured_datasets(loaded.config, loaded.datasets))]
    if name is not None and name not in known:
        raise ConfigError(f"--dataset {name}: nothing of that name is trained or measured; there is {', '.join(known)}")


def _read_only(datasets: Datasets) -> Iterator[Path]:
    """Yield the folders that are never written to."""
    for dataset in datasets.clips:
        # A hub dataset may be a folder of this machine.
        for place in (dataset.instance_data_dir, dataset.dataset_name):
            if place:
                yield Path(place).expanduser()
