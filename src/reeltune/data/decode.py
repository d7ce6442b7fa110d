"""The exact frames of a placed clip, turned, resized and cropped; then the numbers that a model takes.

Memory is one source picture and the finished frames. Frames are resized once, from full-size RGB, with Lanczos: it
filters for the whole reduction, so fine texture does not turn into flicker.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from reeltune.contracts.clip import Placement
from reeltune.data.colors import rgb_of_frame
from reeltune.data.containers import opened, shown
from reeltune.data.orientation import orientation
from reeltune.data.pictures import is_picture, shown_pictures
from reeltune.data.regular import steady
from reeltune.data.seeking import Start, start_before
from reeltune.errors import UnreadableFile

LIMIT_S = 30.0
"""The longest that one frame may take to come out."""


def decode(
    path: Path,
    placement: Placement,
    *,
    limit_s: float = LIMIT_S,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> np.ndarray:
    """Return the placed frames, uint8 (F, H, W, 3).

    limit_s: the longest that one frame may take, checked when it is there.
    Raises UnreadableFile, with the frame, for a file that ends or breaks before the last one.
    """
    wanted = set(placement.frame_indices)
    put = partial(_placed, placement=placement, resampling=resampling)
    with steady(path) as opening:
        start = None if is_picture(opening) else start_before(path, min(wanted))
        if start:
            # Whatever does not fit here, decoding from the beginning decides, and says which frame it is.
            with suppress(UnreadableFile), closing(_frames_since(path, start, wanted)) as frames:
                return _taken(path, frames, placement, put, first=start.index, limit_s=limit_s)
        with closing(_frames(path, opening, wanted)) as frames:
            return _taken(path, frames, placement, put, first=0, limit_s=limit_s)


def to_model_range(frames: np.ndarray) -> torch.Tensor:
    """Turn uint8 (F, H, W, 3) into float32 (3, F, H, W), with 0 as -1 and 255 as 1."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous().float().div_(127.5).sub_(1)


def _taken(
    path: Path,
    frames: Iterator[np.ndarray | None],
    placement: Placement,
    put: Callable[[np.ndarray], np.ndarray],
    *,
    first: int,
    limit_s: float,
) -> np.ndarray:
    """Return the wanted frames, each as `put` leaves it. first: the position of the first of `frames`."""
    wanted = Counter(placement.frame_indices)
    last = placement.frame_indices[-1]
    taken: list[np.ndarray] = []
    position, since = first - 1, time.monotonic()
    for position, pixels in enumerate(frames, first):
        if time.monotonic() - since > limit_s:
            raise UnreadableFile(path, f"frame {position + 1} took longer than {limit_s:g} s; convert it to H.264 mp4")
        if pixels is not None:
            taken += [put(pixels)] * wanted[position]
        if position == last:
            return np.stack(taken)
        since = time.monotonic()
    raise UnreadableFile(path, f"ends after {position + 1} frames, frame {last + 1} is wanted; export it again")


def _frames(path: Path, opening: bytes, wanted: set[int]) -> Generator[np.ndarray | None, None, None]:
    """Yield every frame upright in the order in which they are shown; None for those that are not wanted."""
    if is_picture(opening):
        yield from shown_pictures(path)
        return
    with opened(path) as (container, stream):
        for position, frame in enumerate(shown(path, container, stream)):
            yield _upright(frame) if position in wanted else None


def _frames_since(path: Path, start: Start, wanted: set[int]) -> Generator[np.ndarray | None, None, None]:
    """Yield what `_frames` does, from a key frame on; raises UnreadableFile where it is not the frames due."""
    with opened(path) as (container, stream):
        container.seek(start.due[0], stream=stream)
        frames = shown(path, container, stream, since=start.due[0])
        for position, (frame, due) in enumerate(zip(frames, start.due, strict=False), start.index):
            if frame.pts != due:
                raise UnreadableFile(path, f"frame {position + 1} is lost or out of order; export it again")
            yield _upright(frame) if position in wanted else None


def _upright(frame: av.VideoFrame) -> np.ndarray:
    return orientation(frame).upright(rgb_of_frame(frame))


def _placed(pixels: np.ndarray, placement: Placement, resampling: Image.Resampling) -> np.ndarray:
    bucket, left, top = placement.bucket, placement.crop_left, placement.crop_top
    upright = Image.fromarray(np.ascontiguousarray(pixels))
    # Straight to the final size: this also stretches pixels that are not square.
    resized = upright.resize((placement.resize_width, placement.resize_height), resampling)
    return np.asarray(resized.crop((left, top, left + bucket.width, top + bucket.height)))
