"""A look at the user's clips: how many, how large, how long, how fast, with what captions. Nothing is written there."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reeltune.config.datasets import VideoDataset
from reeltune.contracts.clip import ClipInfo
from reeltune.contracts.facts import Facts
from reeltune.data.captions import read_captions
from reeltune.data.frames import frames_available, training_rate
from reeltune.data.probe import probe
from reeltune.data.sources import find_media
from reeltune.errors import DataError, UnreadableFile

ENOUGH_WORDS = 8
"""Captions below it leave the text encoder little to go by."""


@dataclass(frozen=True)
class Clip:
    """One clip. frames: what it yields at the model's rate. caption: of the text file beside it, None without one."""

    path: Path
    info: ClipInfo
    frames: int
    caption: str | None


@dataclass(frozen=True)
class Folder:
    """What is in the folder.

    path: as it was typed. unreadable: why, one sentence per file. unread: files of kinds that are not read.
    fps: the rate that frames are counted at.
    """

    path: Path
    clips: tuple[Clip, ...]
    unreadable: tuple[str, ...]
    unread: int
    fps: float

    @property
    def name(self) -> str:
        return self.path.expanduser().resolve().name

    @property
    def captioned(self) -> int:
        return sum(clip.caption is not None for clip in self.clips)


def look(path: Path, facts: Facts, track: Callable[..., Iterable[Any]]) -> Folder:
    """Look at every clip of a folder. Raises DataError when there is none that can be read.

    track: called as track(files, title, total=, unit=) and iterated in place of files, to show progress.
    """
    media = find_media(path.expanduser())
    dataset = VideoDataset(id="clips", instance_data_dir=str(path), cache_dir_vae="cache")
    clips, unreadable = [], []
    for file in track(media.videos, f"looking at {path}", total=len(media.videos), unit="clips"):
        try:
            info = probe(file.path)
        except UnreadableFile as error:
            unreadable.append(str(error))
            continue
        rate = training_rate(info, setting="model", model_fps=facts.fps)
        clips.append(Clip(file.path, info, frames_available(info, rate), _caption(file.path, dataset)))
    if not clips:
        raise DataError(f"none of the {len(unreadable)} videos in {path} can be read; the first: {unreadable[0]}")
    return Folder(path, tuple(clips), tuple(unreadable), len(media.unread), facts.fps)


def _caption(path: Path, dataset: VideoDataset) -> str | None:
    try:
        captions = read_captions(path, dataset)
    except DataError:
        # What is wrong with the file is the plan's to say; here it is a clip without words.
        return None
    return captions[0] if captions else None


def summary(folder: Folder, usable_frames: Callable[[int], int]) -> str:
    """Say in one line what is there."""
    infos = [clip.info for clip in folder.clips]
    sizes = sorted({(info.width * info.height, f"{info.width}x{info.height}") for info in infos})
    missing = len(folder.clips) - folder.captioned
    shortest = usable_frames(min(clip.frames for clip in folder.clips))
    parts = [
        _counted(len(folder.clips), "clip"),
        f"{missing or 'none'} without captions",
        _span([name for _, name in (sizes[0], sizes[-1])]),
        f"{_span([f'{rate:.4g}' for rate in _ends(info.fps for info in infos)])} fps",
        f"{_span([f'{seconds:.1f}' for seconds in _ends(info.end_s for info in infos)])} s",
        f"the shortest gives {shortest} frames at {folder.fps:g} fps",
    ]
    return ", ".join(parts)


def remarks(folder: Folder) -> list[str]:
    """Return what is worth mending in the folder before training, one sentence each."""
    found = []
    if folder.unreadable:
        found.append(f"{_counted(len(folder.unreadable), 'file')} cannot be read, such as {folder.unreadable[0]}")
    if folder.unread:
        found.append(
            f"Not read: {_counted(folder.unread, 'picture or other file', 'pictures or other files')}. Clips are what "
            "is trained; pictures alone would make videos stand still."
        )
    words = [len(clip.caption.split()) for clip in folder.clips if clip.caption]
    if words and statistics.median(words) < ENOUGH_WORDS:
        found.append(
            f"Half of the captions have {statistics.median(words):g} words or fewer. Whole sentences teach better: "
            "who, what happens, where, how the camera moves."
        )
    return found


@dataclass(frozen=True)
class Length:
    """A sample length that could be trained. lost: clips that are too short for it."""

    frames: int
    lost: int


def lengths(clips: Sequence[Clip], *, most: int, usable_frames: Callable[[int], int]) -> tuple[Length, ...]:
    """Return the lengths worth choosing among, longest first; none would lose every clip.

    most: of the form that usable_frames gives. Listed are round lengths and those that keep all, or almost all, clips.
    """
    usable = sorted(usable_frames(clip.frames) for clip in clips)
    wanted = {min(most, frames) for frames in (81, 65, 49, 33, 17, usable[0], usable[-1], usable[len(clips) // 20])}
    return tuple(
        Length(frames, sum(own < frames for own in usable))
        for frames in sorted({usable_frames(frames) for frames in wanted}, reverse=True)
        if frames <= usable[-1]
    )


def suggested_length(choices: Sequence[Length], clips: int) -> Length:
    """Return the longest that keeps at least nineteen of twenty clips."""
    return next(length for length in choices if 20 * length.lost <= clips)


def _ends(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


def _span(ends: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys(ends))


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
