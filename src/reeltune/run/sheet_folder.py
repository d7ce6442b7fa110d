"""The folder of a data sheet: a page, and the pictures and videos beside it.

The page is written last, so one that is there names only files that are there. What an earlier sheet left in the media
folder goes once the new page stands; nothing else is ever removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from reeltune.config.prompts import file_safe
from reeltune.contracts.clip import Bucket, Sample
from reeltune.errors import ConfigError
from reeltune.media import write_mp4, write_png
from reeltune.report.sheet import Card
from reeltune.report.sheet_card import MEDIA
from reeltune.report.sheet_page import MARK
from reeltune.report.sheet_picture import Tile, contact_sheet, evenly, thumbnail
from reeltune.report.sheet_words import facts_of, frame_label, name_of, window_of
from reeltune.whole_files import whole_file

PAGE = "index.html"
MOST_FRAMES = 16
"""Frames on a contact sheet."""
MOST_FIRSTS = 120
"""First frames on one overview."""
LONGEST = 60
"""Letters of a source's name in the names of our files."""

_OURS = re.compile(r"(sample|left-out|bucket)-\d.*\.(mp4|png)")


@dataclass
class SheetFolder:
    """Takes samples one at a time. written: the names in the media folder that belong to this sheet."""

    folder: Path
    written: set[str] = field(default_factory=set)
    firsts: dict[int, np.ndarray] = field(default_factory=dict)

    def check(self, read_only: Iterable[Path]) -> None:
        """Raise ConfigError where a sheet would lie in a dataset's folder, or among files that are not a sheet's."""
        place = self.folder.resolve()
        for dataset in read_only:
            if place.is_relative_to(dataset.resolve()):
                raise ConfigError(f"--out {self.folder}: {dataset} is a dataset's folder and is never written to")
        if self.folder.exists() and not _may_become_sheet(self.folder):
            raise ConfigError(f"--out {self.folder}: something else is there already; name a new or empty folder")

    def write_sample(self, card: Card, number: int, frames: np.ndarray, *, fps: float) -> Card:
        """Write a sample's video or picture and its contact sheet, and return the card that names them."""
        name = f"sample-{number:05d}-{_short(card.sample)}"
        media = f"{name}.mp4" if len(frames) > 1 else f"{name}.png"
        with whole_file(self._path(media)) as draft:
            if len(frames) > 1:
                write_mp4(draft, frames, fps=fps)
            else:
                write_png(draft, frames[0])
        self.firsts[number] = thumbnail(frames[0])
        return replace(card, media=media, contact=self._write_contact(card.sample, f"{name}-frames.png", frames, fps))

    def write_left_out(self, number: int, picture: np.ndarray) -> str:
        """Write the picture of a file that is left out, and return its name."""
        name = f"left-out-{number:05d}.png"
        with whole_file(self._path(name)) as draft:
            write_png(draft, picture)
        return name

    def write_overviews(self, cards: Sequence[Card]) -> dict[Bucket, tuple[str, ...]]:
        """Write the first frames of each bucket side by side, and return the names of the pictures."""
        groups: dict[Bucket, list[int]] = {}
        for number, card in enumerate(cards, start=1):
            if card.media:
                groups.setdefault(card.bucket, []).append(number)
        return {bucket: tuple(self._write_overview(bucket, cards, group)) for bucket, group in groups.items()}

    def finish(self, page: str) -> Path:
        """Write the page, remove what only an earlier one named, and return where the page is."""
        path = self.folder / PAGE
        with whole_file(path) as draft:
            draft.write_text(page, encoding="utf-8", errors="backslashreplace")
        media = self.folder / MEDIA
        for old in media.iterdir() if media.is_dir() else ():
            if old.name not in self.written and _OURS.fullmatch(old.name):
                old.unlink()
        return path

    def _write_contact(self, sample: Sample, name: str, frames: np.ndarray, fps: float) -> str:
        chosen = evenly(len(frames), MOST_FRAMES)
        tiles = [Tile(thumbnail(frames[position]), frame_label(sample, position)) for position in chosen]
        facts = [f"{name}: {text}" for name, text in facts_of(sample, fps)]
        with whole_file(self._path(name)) as draft:
            contact_sheet(draft, tiles, columns=4, title=sample.captions, facts=facts)
        return name

    def _write_overview(self, bucket: Bucket, cards: Sequence[Card], numbers: Sequence[int]) -> Iterable[str]:
        rest = iter(numbers)
        pages = iter(lambda: list(islice(rest, MOST_FIRSTS)), [])
        for page, group in enumerate(pages):
            name = f"bucket-{bucket}-{page}.png"
            tiles = [Tile(self.firsts[number], f"{number}. {_label(cards[number - 1].sample)}") for number in group]
            with whole_file(self._path(name)) as draft:
                contact_sheet(draft, tiles, columns=6, title=[f"{bucket}: first frames"], facts=[])
            yield name

    def _path(self, name: str) -> Path:
        self.written.add(name)
        return self.folder / MEDIA / name


def _label(sample: Sample) -> str:
    return " ".join(filter(None, [name_of(sample), window_of(sample)]))


def _short(sample: Sample) -> str:
    """Return the name of a sample's file, safe for file systems and addresses, and its window where it has several."""
    plain = PurePosixPath(name_of(sample)).stem.encode("ascii", "replace").decode()
    window = f"-window-{sample.window + 1}" if sample.windows > 1 else ""
    return file_safe(plain)[:LONGEST] + window


def _may_become_sheet(folder: Path) -> bool:
    """Tell whether a folder is empty, holds a sheet, or what an interrupted one left."""
    if not folder.is_dir():
        return False
    page = folder / PAGE
    if page.is_file():
        return MARK in page.read_text(encoding="utf-8", errors="replace")
    return all(entry.name == MEDIA or entry.name.startswith(".") for entry in folder.iterdir())
