"""Rows of a manifest as a scan would make them, without any file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.clips import clip_info
from reeltune.config.datasets import VideoOptions
from reeltune.contracts.clip import Bucket, FileRef, ManifestRow, Placement, Sample
from reeltune.contracts.geometry import LatentGeometry
from reeltune.data.buckets import Sizing
from reeltune.data.placement import Rules

RULES = Rules(
    video=VideoOptions(),
    sizing=Sizing(480.0, "pixel_area"),
    geometry=LatentGeometry(channels=16, spatial=8, temporal=4, patch=(1, 2, 2)),
    model_fps=16.0,
)


def used(name: str, *, width: int = 640, height: int = 352, fps: float = 24, dataset: str = "clips") -> ManifestRow:
    """Return a clip of 200 frames of 1280x720, its first 73 frames at 16 per second trained in the middle."""
    info = clip_info(200, fps)
    indices = tuple(range(73)) if fps in (15, 16) else tuple(int(index * fps / 16) for index in range(73))
    resized = -(-height * 16 // 9)
    placement = Placement(
        Bucket(width, height, 73), indices, max(width, resized), height, max(0, resized - width) // 2, crop_top=0
    )
    sample = Sample(dataset, FileRef(Path(name), 1, 1, name=name), info, placement, captions=("ein Käfer",))
    return ManifestRow(Path(name), sample, dataset_id=dataset)


def windows(name: str, count: int) -> list[ManifestRow]:
    """Return a clip of which several windows are trained."""
    row = used(name)
    assert row.sample
    return [replace(row, sample=replace(row.sample, window=index, windows=count)) for index in range(count)]


def left_out(name: str, reason: str = "too short: 3 frames", *, dataset: str = "clips") -> ManifestRow:
    """Return a file that is left out."""
    return ManifestRow(Path(name), None, reason, dataset)
