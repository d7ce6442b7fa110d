"""Video files on disk: frames in, mp4 or png out. numpy and PyAV only.

Frames are uint8 arrays of shape (F, H, W, 3), RGB. What is written plays everywhere: H.264, yuv420p, BT.709 limited
range, and the index at the front so that a browser can start before the file has arrived.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

Frames = np.ndarray
"""uint8, (F, H, W, 3), RGB."""


def write_mp4(path: Path, frames: Frames, *, fps: float) -> None:
    """Write frames as H.264 with an even number of pixels on each side.

    Raises ValueError for another shape or type, or an odd side, which yuv420p cannot hold.
    """
    count, height, width = _check(frames)
    if height % 2 or width % 2:
        raise ValueError(f"yuv420p needs even sides, not {width}x{height}")
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Fine enough (18) to judge a validation video by. One thread, and no macroblock tree, whose AVX-512 code gives
        # other bytes from one run to the next: equal frames make equal files.
        stream.options = {"crf": "18", "threads": "1", "x264-params": "mbtree=0"}
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index]), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_png(path: Path, frame: np.ndarray) -> None:
    """Write one uint8 (H, W, 3) frame, lossless."""
    _check(frame[None])
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = frame.shape[:2]
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 1)
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(image), *encoder.encode(None)]))


def _check(frames: Frames) -> tuple[int, int, int]:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"frames must be uint8 of shape (F, H, W, 3) with F >= 1, not {frames.dtype} {frames.shape}")
    return frames.shape[0], frames.shape[1], frames.shape[2]
