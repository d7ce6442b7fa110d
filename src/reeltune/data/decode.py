"""The exact frames of a placed clip, turned, resized and cropped; then the numbers that a model takes.

Memory is one source picture and the finished frames. Frames are resized once, from full-size RGB, with Lanczos: it
filters for the whole reduction, so fine texture does not turn into flicker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from reeltune.contracts.clip import Placement
from reeltune.data.orientation import orientation
from reeltune.data.probe import opened, picture_packets
from reeltune.errors import UnreadableFile

# The default conversion takes the nearest chroma sample and is up to 3 levels off; this one is within 1.
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED, ITU-T H.273


def decode(path: Path, placement: Placement) -> np.ndarray:
    """Return the placed frames, uint8 (F, H, W, 3).

    Raises UnreadableFile, with the frame, for a file that ends or breaks before the last one.
    """
    wanted = Counter(placement.frame_indices)
    last = placement.frame_indices[-1]
    taken: list[np.ndarray] = []
    with opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        position = -1
        for position, frame in enumerate(_shown(path, container, stream)):
            if position in wanted:
                taken += [_placed(frame, placement)] * wanted[position]
            if position == last:
                return np.stack(taken)
    raise UnreadableFile(path, f"ends after {position + 1} frames, frame {last + 1} is wanted; export it again")


def to_model_range(frames: np.ndarray) -> torch.Tensor:
    """Turn uint8 (F, H, W, 3) into float32 (3, F, H, W), with 0 as -1 and 255 as 1."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2).contiguous().float().div_(127.5).sub_(1)


def _shown(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield frames in the order in which they are shown."""
    count = 0
    try:
        for packet in picture_packets(container, stream):
            for frame in packet.decode():
                yield frame
                count += 1
    except FFmpegError as error:
        raise UnreadableFile(path, f"damaged after frame {count}; copy or export it again") from error


def _placed(frame: av.VideoFrame, placement: Placement) -> np.ndarray:
    bucket, left, top = placement.bucket, placement.crop_left, placement.crop_top
    upright = Image.fromarray(np.ascontiguousarray(orientation(frame).upright(_rgb(frame))))
    # Straight to the final size: this also stretches pixels that are not square.
    resized = upright.resize((placement.resize_width, placement.resize_height), Image.Resampling.LANCZOS)
    return np.asarray(resized.crop((left, top, left + bucket.width, top + bucket.height)))


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert with the matrix and range that the frame names; unnamed means BT.709 from 720 lines up, else BT.601."""
    untagged_hd = frame.colorspace == _UNTAGGED and frame.height >= 720 and not frame.format.is_rgb
    matrix = Colorspace.ITU709 if untagged_hd else None
    return frame.reformat(format="rgb24", src_colorspace=matrix, interpolation=_EXACT, threads=1).to_ndarray()
