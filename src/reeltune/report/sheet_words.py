"""The numbers of a sample in words, for the page and for the pictures."""

from __future__ import annotations

from pathlib import Path

from reeltune.contracts.clip import ClipInfo, Sample
from reeltune.report.outlook_words import counted
from reeltune.report.sheet import Sheet

NEAR = 0.02
"""A speed that differs by less is the clip's own."""


def facts_of(sample: Sample, fps: float) -> list[tuple[str, str]]:
    """Return what there is to know of a sample: where it comes from, which frames, resized and cropped how."""
    rows = [
        ("file", sample.file.origin),
        ("dataset", sample.dataset_id),
        ("bucket", f"{sample.placement.bucket}"),
        ("window", window_of(sample)),
        ("source", _source(sample.info)),
        ("seconds", _seconds(sample)),
        ("speed", speed_of(sample, fps)),
        ("resize", _resize(sample)),
        ("crop", _crop(sample)),
    ]
    return [(name, text) for name, text in rows if text]


def speed_of(sample: Sample, fps: float) -> str:
    """Say how the frames of the source became those of the model; empty for a picture."""
    info, indices = sample.info, sample.placement.frame_indices
    if len(indices) == 1:
        return ""
    lasts = info.times_s[indices[-1]] - info.times_s[indices[0]]
    plays = (len(indices) - 1) / fps
    before, after = f"{info.fps:.4g}", f"{fps:.4g}"
    rates = f"{after} fps" if before == after else f"{before} to {after} fps"
    # A resampled frame may be one source frame older than its time.
    if abs(lasts - plays) <= NEAR * plays + 1.001 / info.fps:
        return f"{rates}, at the clip's own speed"
    return f"{rates}, at {lasts / plays:.3g} times the clip's own speed"


def frame_label(sample: Sample, position: int) -> str:
    """Name a frame of a sample by its number, and by the second of the source that it was taken at."""
    index = sample.placement.frame_indices[position]
    return f"{position}: source frame {index}, {sample.info.times_s[index]:.3f} s"


def name_of(sample: Sample) -> str:
    """Return the name of a sample's file, without the folders that it lies in."""
    return sample.file.origin.rstrip("/").rpartition("/")[2]


def window_of(sample: Sample) -> str:
    """Return which of a file's windows a sample is; empty where it has one."""
    return f"{sample.window + 1} of {sample.windows}" if sample.windows > 1 else ""


def is_whole(sample: Sample) -> bool:
    """Tell whether nothing is cropped."""
    placement = sample.placement
    return (placement.resize_width, placement.resize_height) == (placement.bucket.width, placement.bucket.height)


def told(sheet: Sheet, page: Path) -> str:
    """Return what a person reads at the end of the command."""
    shown, dull = len(sheet.cards), sum(map(sheet.is_marked, sheet.cards))
    parts = [
        f"{counted(shown, 'sample')}" + (f" of {sheet.samples:,}" if shown < sheet.samples else ""),
        f"{counted(len(sheet.left_out), 'file')} left out",
        f"{dull:,} to look at first" if dull else "",
    ]
    return f"The sheet shows {', '.join(filter(None, parts))}. Open it in a browser: {page}"


def _source(info: ClipInfo) -> str:
    if info.frames == 1:
        return f"{info.width}x{info.height}"
    return f"{info.width}x{info.height}, {info.fps:.4g} fps, {info.frames:,} frames, {info.end_s:.2f} s"


def _seconds(sample: Sample) -> str:
    indices = sample.placement.frame_indices
    if len(indices) == 1 and sample.info.frames == 1:
        return ""
    start, stop = sample.span_s
    return f"{start:.2f} to {stop:.2f} s, frames {indices[0]:,} to {indices[-1]:,} of the source"


def _resize(sample: Sample) -> str:
    placement, info = sample.placement, sample.info
    before, after = (info.width, info.height), (placement.resize_width, placement.resize_height)
    return "none" if before == after else f"{before[0]}x{before[1]} to {after[0]}x{after[1]}"


def _crop(sample: Sample) -> str:
    if is_whole(sample):
        return "none"
    bucket, placement = sample.placement.bucket, sample.placement
    left, top, width, height = map(round, sample.crop_in_source)
    taken = f"{bucket.width}x{bucket.height} at ({placement.crop_left}, {placement.crop_top}) of that"
    return f"{taken}: {width}x{height} at ({left}, {top}) of the source"
