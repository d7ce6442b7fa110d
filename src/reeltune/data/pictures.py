"""Pictures and animations, read by Pillow: a picture is a clip of one frame, an animation a clip with its own times.

Frames of GIF, WebP, APNG and AVIF are as a browser shows them, laid over each other where they only hold what changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from reeltune.contracts.clip import ClipInfo
from reeltune.data.colors import rgb_of_picture
from reeltune.data.containers import MAX_PIXELS, check_pixels
from reeltune.data.orientation import Orientation, orientation_of_exif
from reeltune.errors import UnreadableFile

STILL_S = 0.001
"""How long a picture is shown: so short that it is one frame at any rate."""

_OPENINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Formats whose further pictures are further moments; those of others are previews, pages or other views."""
_EXIF_ORIENTATION = 0x0112


def is_picture(opening: bytes) -> bool:
    """Tell by a file's first bytes whether Pillow reads it."""
    if opening[:4] == b"RIFF":
        return opening[8:12] == b"WEBP"
    if opening[4:8] == b"ftyp":
        return b"avif" in opening[8:] or b"avis" in opening[8:]
    return opening.startswith(_OPENINGS)


def probe_picture(path: Path) -> ClipInfo:
    """Read size and times; all of it is decoded, so that what is cut off shows. Raises UnreadableFile."""
    with _opened(path) as picture:
        width, height = _orientation(picture).shown_size(*picture.size)
        if _frames(picture) == 1:
            # JPEG in an eighth of its size: as much is read, less is computed.
            picture.draft(None, (picture.width // 8, picture.height // 8))
            picture.load()
            return ClipInfo(width=width, height=height, times_s=(0.0,), end_s=STILL_S)
        ends_ms = list(accumulate(_duration_ms(frame) for frame in _moments(picture)))
        times_s = tuple(end / 1000 for end in (0.0, *ends_ms[:-1]))
        return ClipInfo(width=width, height=height, times_s=times_s, end_s=ends_ms[-1] / 1000)


def shown_pictures(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames as uint8 (H, W, 3), upright. Raises UnreadableFile."""
    with _opened(path) as picture:
        turn = _orientation(picture)
        for frame in _moments(picture):
            yield turn.upright(rgb_of_picture(frame))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # Ours is the lower limit, and it is said in our words.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    try:
        with Image.open(path) as picture:
            check_pixels(path, *picture.size)
            yield picture
    except UnreadableFile:
        raise
    except Image.DecompressionBombError as error:
        most = f"{MAX_PIXELS / 1e6:.0f} megapixels"
        raise UnreadableFile(path, f"too large: {most} are the most; scale it down") from error
    except Exception as error:
        # Pillow's readers raise whatever their parsing meets: some ten kinds, from SyntaxError to struct.error.
        raise UnreadableFile(path, f"damaged picture: {error}; copy or export it again") from error


def _orientation(picture: Image.Image) -> Orientation:
    return orientation_of_exif(picture.getexif().get(_EXIF_ORIENTATION))


def _frames(picture: Image.Image) -> int:
    return getattr(picture, "n_frames", 1) if picture.format in _ANIMATED else 1


def _moments(picture: Image.Image) -> Iterator[Image.Image]:
    """Yield the picture, decoded, at each of its moments."""
    count = _frames(picture)
    # An APNG may open with a picture for those who cannot animate it.
    for index in range(1 if count > 1 and getattr(picture, "default_image", False) else 0, count):
        picture.seek(index)
        picture.load()
        yield picture


def _duration_ms(frame: Image.Image) -> float:
    # As browsers do: many an animation says 0 and was never meant to be shown at 100 fps.
    duration = float(frame.info.get("duration", 0))
    return duration if duration > 10 else 100.0
