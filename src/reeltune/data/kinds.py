"""Which files hold clips and which hold pictures, by their extension. Animations may be either: their frames tell."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from reeltune.config.datasets import ClipDataset

ANIMATIONS = (".gif", ".webp", ".apng")
VIDEOS = (".mp4", ".mkv", ".m4v", ".mov", ".webm", ".avi", *ANIMATIONS)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".avif", *ANIMATIONS)
UNREAD = (".heic", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob")
"""Media of kinds that are not read: each is named in the manifest, so that none vanishes."""

BY_DATASET: dict[Literal["video", "image", "eval"], tuple[str, ...]] = {
    "video": VIDEOS,
    "image": PICTURES,
    "eval": tuple(dict.fromkeys(VIDEOS + PICTURES)),
}
MEDIA = tuple(dict.fromkeys((*VIDEOS, *PICTURES, *UNREAD)))


def is_wanted(path: PurePath, dataset: ClipDataset) -> bool:
    """Tell whether a dataset trains or measures files of this kind."""
    return path.suffix.lower() in BY_DATASET[dataset.dataset_type]


def is_media(path: PurePath) -> bool:
    """Tell whether a file shows something, read here or not."""
    return path.suffix.lower() in MEDIA


def not_wanted(path: PurePath, dataset: ClipDataset) -> str:
    """Say why a file that shows something is not in a dataset, and what would admit it."""
    kind = path.suffix.lower()
    if kind in UNREAD:
        return f"not read: {kind} is none of {' '.join(BY_DATASET[dataset.dataset_type])}; convert it"
    other, needed = ("picture", "image") if dataset.dataset_type == "video" else ("video", "video")
    return f"not read: a {other} in a dataset of type {dataset.dataset_type}; name it in one of type {needed}"
