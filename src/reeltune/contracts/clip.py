"""A video file on its way to becoming a training sample. Frozen records; no torch.

A file is found (`FileRef`), probed (`ClipInfo`), placed (`Placement`: which frames, resized how, cropped where) and,
with its captions, becomes a `Sample`. Each file that is found ends as one `ManifestRow`, used or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileRef:
    """One file of a dataset as the file system shows it."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class ClipInfo:
    """What a video file holds, read from its time stamps rather than from header estimates.

    width, height: as shown, after rotation and sample aspect ratio.
    times_s: when each frame is shown, in seconds from the first, ascending; one entry per frame.
    end_s: when the last frame stops being shown.
    """

    width: int
    height: int
    times_s: tuple[float, ...]
    end_s: float

    @property
    def frames(self) -> int:
        return len(self.times_s)

    @property
    def fps(self) -> float:
        """Mean frames per second over the whole clip."""
        return self.frames / self.end_s


@dataclass(frozen=True, order=True)
class Bucket:
    """The shape shared by all samples of a batch: width and height in pixels, frames of the form 4k+1."""

    width: int
    height: int
    frames: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


@dataclass(frozen=True)
class Placement:
    """Which part of a clip is trained: exact source frames, one resize, one crop.

    frame_indices: positions in presentation order, one per trained frame; a position may repeat when a slow clip is
        brought up to the model's rate.
    resize_width, resize_height: pixels after the one resize, which keeps the source's aspect to one pixel.
    crop_left, crop_top: corner of the bucket inside the resized frame.
    """

    bucket: Bucket
    frame_indices: tuple[int, ...]
    resize_width: int
    resize_height: int
    crop_left: int
    crop_top: int


@dataclass(frozen=True)
class Sample:
    """One clip that will be trained."""

    dataset_id: str
    file: FileRef
    info: ClipInfo
    placement: Placement
    captions: tuple[str, ...]

    @property
    def id(self) -> str:
        """Name for logs and messages: what a person would open."""
        return str(self.file.path)


@dataclass(frozen=True)
class ManifestRow:
    """What became of one file.

    sample: present when the file is trained.
    reason: empty when it is trained; otherwise why not, and what would admit it.
    dataset_id: the dataset whose folder it lies in.
    """

    path: Path
    sample: Sample | None
    reason: str = ""
    dataset_id: str = ""


@dataclass(frozen=True)
class Manifest:
    """What became of every file. trained, held_out: rows of the datasets for training and for measuring."""

    trained: tuple[ManifestRow, ...]
    held_out: tuple[ManifestRow, ...] = ()

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        return (*self.trained, *self.held_out)


def samples_of(rows: Sequence[ManifestRow]) -> list[Sample]:
    """Return what is trained, in the order of the rows."""
    return [row.sample for row in rows if row.sample]
