"""How a stored picture is turned to be shown: the display matrix that cameras write, EXIF's number. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to show a rectangle: swap the axes first, then mirror."""

    swap_axes: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def upright(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels (H, W, 3) as they are shown, as a view."""
        if self.swap_axes:
            pixels = pixels.swapaxes(0, 1)
        if self.mirror_x:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if self.mirror_y else pixels

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) after the turn."""
        return (height, width) if self.swap_axes else (width, height)


_EXIF = {
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(swap_axes=True),
    6: Orientation(swap_axes=True, mirror_x=True),
    7: Orientation(swap_axes=True, mirror_x=True, mirror_y=True),
    8: Orientation(swap_axes=True, mirror_y=True),
}


def orientation(frame: av.VideoFrame) -> Orientation:
    """Read a frame's display matrix; without one the picture is upright. Odd angles go to the nearest quarter turn."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    # Row vectors, fixed point: shown x = a*x + c*y, shown y = b*x + d*y; the third column is the perspective.
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32)[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(swap_axes=True, mirror_x=c < 0, mirror_y=b < 0)
    return Orientation(mirror_x=a < 0, mirror_y=d < 0)


def orientation_of_exif(number: object) -> Orientation:
    """Return what EXIF's orientation, 1 to 8, means; anything else is upright."""
    return _EXIF.get(number, Orientation()) if isinstance(number, int) else Orientation()
