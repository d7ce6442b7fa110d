"""A look at the user's clips or pictures: how many, how large, how long, what captions. Nothing is written there."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reeltune.config.datasets import EvalDataset, VideoDataset
from reeltune.contracts.clip import ClipInfo
from reeltune.contracts.facts import Facts
from reeltune.contracts.source import Entry
from reeltune.data.caption_filters import Filters
from reeltune.data.captions import CaptionReader
from reeltune.data.frames import frames_available, training_rate
from reeltune.data.kinds import ANIMATIONS, BY_DATASET
from reeltune.data.probe import probe
from reeltune.data.sources import open_source
from reeltune.errors import DataError, UnreadableFile

ENOUGH_WORDS = 8
"""Captions below it leave the text encoder little to go by."""

Kind = Literal["video", "image"]
"""What a folder is trained as: the dataset_type of its entry."""


@dataclass(frozen=True)
class Clip:
    """One clip, or picture. frames: what it yields at the model's rate. caption: the first beside it, None without."""

    path: Path
    info: ClipInfo
    frames: int
    caption: str | None


@dataclass(frozen=True)
class Folder:
    """What is in the folder.

    path: as it was typed. unreadable: why, one sentence per file. unread: files of kinds that are not read.
    fps: the rate that frames are counted at. kind: pictures alone are trained as pictures, all else as clips.
    """

    path: Path
    clips: tuple[Clip, ...]
    unreadable: tuple[str, ...]
    unread: int
    fps: float
    kind: Kind = "video"

    @property
    def name(self) -> str:
        return self.path.expanduser().resolve().name

    @property
    def noun(self) -> str:
        return "clip" if self.kind == "video" else "picture"

    @property
    def form(self) -> str:
        return "video" if self.kind == "video" else "picture"

    @property
    def captioned(self) -> int:
        return sum(clip.caption is not None for clip in self.clips)


@dataclass(frozen=True)
class Files:
    """What is worth a look in a folder. unread: files of other kinds."""

    kind: Kind
    entries: tuple[Entry, ...]
    unread: int


def list_files(path: Path) -> Files:
    """List a folder's clips, or its pictures where it has no clips. Raises DataError where it has neither."""
    # What is measured may be both, so that this dataset lists both.
    found = open_source(EvalDataset(id="clips", instance_data_dir=str(path.expanduser()))).find()
    stills = set(BY_DATASET["image"]) - set(ANIMATIONS)
    # Animations alone are clips; beside pictures they may be pictures too.
    names = {_extension(entry) for entry in found.entries}
    kind: Kind = "image" if names & stills and names <= set(BY_DATASET["image"]) else "video"
    entries = tuple(entry for entry in found.entries if _extension(entry) in BY_DATASET[kind])
    return Files(kind, entries, len(found.entries) - len(entries) + len(found.passed))


def look(path: Path, facts: Facts, track: Callable[..., Iterable[Any]]) -> Folder:
    """Look at every clip or picture of a folder. Raises DataError when there is none that can be read.

    track: called as track(files, title, total=, unit=) and iterated in place of files, to show progress.
    """
    files = list_files(path)
    dataset = VideoDataset(id="clips", instance_data_dir=str(path.expanduser()))
    reader = CaptionReader(dataset, open_source(dataset), filters=Filters())
    clips, unreadable = [], []
    for entry in track(files.entries, f"looking at {path}", total=len(files.entries), unit="files"):
        try:
            info = probe(entry.file.path)
        except UnreadableFile as error:
            unreadable.append(str(error))
            continue
        rate = training_rate(info, setting="model", model_fps=facts.fps)
        # What is wrong with a caption is the plan's to say; here it is a clip without words.
        caption = next(iter(reader.read(entry).captions), None)
        clips.append(Clip(entry.file.path, info, frames_available(info, rate), caption))
    if not clips:
        raise DataError(f"none of the {len(unreadable)} files in {path} can be read; the first: {unreadable[0]}")
    return Folder(path, tuple(clips), tuple(unreadable), files.unread, facts.fps, files.kind)


def _extension(entry: Entry) -> str:
    return entry.file.path.suffix.lower()


def summary(folder: Folder, usable_frames: Callable[[int], int]) -> str:
    """Say in one line what is there."""
    infos = [clip.info for clip in folder.clips]
    sizes = sorted({(info.width * info.height, f"{info.width}x{info.height}") for info in infos})
    missing = len(folder.clips) - folder.captioned
    parts = [
        _counted(len(folder.clips), folder.noun),
        f"{missing or 'none'} without captions",
        _span([name for _, name in (sizes[0], sizes[-1])]),
        *(_in_time(folder, usable_frames) if folder.kind == "video" else ()),
    ]
    return ", ".join(parts)


def _in_time(folder: Folder, usable_frames: Callable[[int], int]) -> list[str]:
    infos = [clip.info for clip in folder.clips]
    shortest = usable_frames(min(clip.frames for clip in folder.clips))
    return [
        f"{_span([f'{rate:.4g}' for rate in _ends(info.fps for info in infos)])} fps",
        f"{_span([f'{seconds:.1f}' for seconds in _ends(info.end_s for info in infos)])} s",
        f"the shortest gives {shortest} frames at {folder.fps:g} fps",
    ]


def remarks(folder: Folder) -> list[str]:
    """Return what is worth mending in the folder before training, one sentence each."""
    found = []
    if folder.unreadable:
        found.append(f"{_counted(len(folder.unreadable), 'file')} cannot be read, such as {folder.unreadable[0]}")
    if folder.kind == "image":
        found.append(
            "Pictures teach looks and no motion, and many steps of them alone make videos stand still. Clips beside "
            "them, in a dataset of their own, keep the motion."
        )
    if folder.unread:
        found.append(
            f"Not read: {_counted(folder.unread, 'picture or other file', 'pictures or other files')}. Pictures beside "
            'clips are trained in a dataset of their own, with "dataset_type": "image".'
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
