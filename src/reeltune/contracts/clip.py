"""A file on its way to becoming training samples. Frozen records; no torch.

A video or picture is found (`FileRef`), probed (`ClipInfo`), placed (one `Placement` per window: which frames, resized
how, cropped where) and, with its captions, becomes one `Sample` per window. Each file that is found ends as at least
one `ManifestRow`, used or not. A picture is a clip of one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileRef:
    """One file of a dataset as its storage shows it.

    path: where its bytes are on this machine, or will be once they are fetched.
    url: where the bytes come from when that is another place; without credentials. Empty for a local file.
    version: what the other storage tells versions apart by, such as an etag. Empty for a local file.
    name: the same on every machine: its path below the dataset's root, or its URL.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    url: str = ""
    version: str = ""
    name: str = ""

    @property
    def origin(self) -> str:
        """Return what a person would open: the path, or the URL that the bytes come from."""
        return self.url or str(self.path)

    @property
    def stamp(self) -> str:
        """Return what tells one version of the file from another."""
        return self.version or f"{self.size_bytes} {self.mtime_ns}"


@dataclass(frozen=True)
class ClipInfo:
    """What a video or picture holds, read from its time stamps rather than from header estimates.

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
class Mask:
    """What of a clip counts: white does, black does not. still: one picture for all frames of the clip."""

    file: FileRef
    still: bool


@dataclass(frozen=True)
class Sample:
    """One window of one clip that will be trained.

    window, windows: which one it is of how many of the same file, counted from 0.
    mask: which part of the clip counts; None where all of it does.
    held_out: measured instead: it is encoded before training, and never drawn anew.
    """

    dataset_id: str
    file: FileRef
    info: ClipInfo
    placement: Placement
    captions: tuple[str, ...]
    window: int = 0
    windows: int = 1
    mask: Mask | None = None
    held_out: bool = False

    @property
    def id(self) -> str:
        """Name for logs and messages: what a person would open, and which part of it where there are several."""
        place = self.file.origin
        return place if self.windows == 1 else f"{place} window {self.window + 1} of {self.windows}"

    @property
    def span_s(self) -> tuple[float, float]:
        """Return the seconds of the source in which the first frame begins and the last one ends."""
        first, last = self.placement.frame_indices[0], self.placement.frame_indices[-1]
        starts = (*self.info.times_s, self.info.end_s)
        return starts[first], starts[last + 1]

    @property
    def crop_in_source(self) -> tuple[float, float, float, float]:
        """Return left, top, width and height of what is kept, in pixels of the source as it is shown."""
        placement, bucket = self.placement, self.placement.bucket
        across, down = self.info.width / placement.resize_width, self.info.height / placement.resize_height
        return placement.crop_left * across, placement.crop_top * down, bucket.width * across, bucket.height * down


@dataclass(frozen=True)
class ManifestRow:
    """What became of one file, or of one window of it.

    sample: present when it is trained.
    reason: empty when it is trained; otherwise its kind, a colon, why not, and what would admit it.
    dataset_id: the dataset that it belongs to.
    url: where the file comes from when that is not the path.
    held_out: kept out of training to be measured, or left out of what is measured.
    """

    path: Path
    sample: Sample | None
    reason: str = ""
    dataset_id: str = ""
    url: str = ""
    held_out: bool = False

    @property
    def origin(self) -> str:
        """Return what a person would open: the path, or the URL that the bytes come from."""
        return self.url or str(self.path)

    @property
    def kind(self) -> str:
        """Return the kind of the reason, which stands in front of its colon."""
        return self.reason.partition(":")[0]

    @property
    def why(self) -> str:
        """Return the reason without its kind."""
        return self.reason.partition(": ")[2] or self.reason


@dataclass(frozen=True)
class Manifest:
    """What became of every file. trained, held_out: rows of what is for training and of what is for measuring.

    With eval_split one dataset has rows of both kinds; a file never has.
    """

    trained: tuple[ManifestRow, ...]
    held_out: tuple[ManifestRow, ...] = ()

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        return (*self.trained, *self.held_out)


def samples_of(rows: Sequence[ManifestRow]) -> list[Sample]:
    """Return what is trained, in the order of the rows."""
    return [row.sample for row in rows if row.sample]
