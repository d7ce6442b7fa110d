"""What is cut out of a frame: which shape, out of which size, and where. Pure arithmetic.

A frame is resized once, at its own aspect to one pixel, and one aligned box is cut out of it. `buckets` knows sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reeltune.config.datasets import CropAspect
from reeltune.data.buckets import Sizing, bucket_size, cover, is_larger, reduced, shape_size

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Cropping:
    """What of a frame is kept.

    crop: false = the clip's own shape, and only what alignment leaves over is cut off.
    style: which part stays. aspect: the shape of crops. shapes: what aspect closest and random choose from.
    maximum, target: larger clips are resized to the target before they are cropped, others keep their own size; in the
        unit of resolution_type. One of them unset, or 0: clips are resized to just cover the crop.
    """

    crop: bool = False
    style: Literal["center", "random", "corner"] = "center"
    aspect: Literal["square", "preserve", "closest", "random"] = "square"
    shapes: tuple[CropAspect, ...] = ()
    maximum: float | None = None
    target: float | None = None


def crop_size(width: int, height: int, cropping: Cropping, sizing: Sizing, *, generator: np.random.Generator) -> Size:
    """Return the (width, height) that is trained of a clip of this size.

    generator: read by aspect random only.
    """
    if not cropping.crop:
        return bucket_size(width, height, sizing)
    return _ASPECTS[cropping.aspect](width, height, cropping.shapes, sizing, generator)


def resized(width: int, height: int, size: Size, cropping: Cropping, sizing: Sizing) -> Size:
    """Return what a clip is resized to before the crop: its own aspect to one pixel, never smaller than the crop."""
    covering = cover(width, height, target_width=size[0], target_height=size[1])
    if not (cropping.crop and cropping.maximum and cropping.target):
        return covering
    kind = sizing.resolution_type
    kept = (width, height)
    if is_larger(width, height, maximum=cropping.maximum, resolution_type=kind):
        kept = reduced(width, height, size=cropping.target, resolution_type=kind)
    return kept if kept[0] >= size[0] and kept[1] >= size[1] else covering


def crop_corner(frame: Size, size: Size, cropping: Cropping, *, generator: np.random.Generator) -> tuple[int, int]:
    """Return (left, top) of the crop inside the resized frame.

    generator: read by style random only.
    """
    return _STYLES[cropping.style](frame[0] - size[0], frame[1] - size[1], generator)


def _square(width: int, height: int, shapes: tuple[CropAspect, ...], sizing: Sizing, _: np.random.Generator) -> Size:
    return shape_size(1.0, sizing)


def _preserve(width: int, height: int, shapes: tuple[CropAspect, ...], sizing: Sizing, _: np.random.Generator) -> Size:
    return bucket_size(width, height, sizing)


def _closest(width: int, height: int, shapes: tuple[CropAspect, ...], sizing: Sizing, _: np.random.Generator) -> Size:
    """Return the shape that needs the smallest change by a factor; the first one of equally near ones."""
    aspect = width / height
    nearest = min(shapes, key=lambda shape: max(shape.aspect / aspect, aspect / shape.aspect))
    return shape_size(nearest.aspect, sizing)


def _drawn(
    width: int, height: int, shapes: tuple[CropAspect, ...], sizing: Sizing, generator: np.random.Generator
) -> Size:
    """Draw among the shapes that the clip fills at 1.2 times its size or less, by weight; square when there is none."""
    sizes = [(shape_size(shape.aspect, sizing), shape.weight) for shape in shapes]
    near = [(size, weight) for size, weight in sizes if 5 * size[0] <= 6 * width and 5 * size[1] <= 6 * height]
    if not near:
        return shape_size(1.0, sizing)
    weights = np.array([weight for _, weight in near])
    return near[generator.choice(len(near), p=weights / weights.sum())][0]


def _random_corner(right: int, below: int, generator: np.random.Generator) -> tuple[int, int]:
    """Draw shares rather than pixels, so that a clip keeps its part at another resolution."""
    across, down = generator.random(2)
    return int(across * (right + 1)), int(down * (below + 1))


_ASPECTS: dict[str, Callable[[int, int, tuple[CropAspect, ...], Sizing, np.random.Generator], Size]] = {
    "square": _square,
    "preserve": _preserve,
    "closest": _closest,
    "random": _drawn,
}

_STYLES: dict[str, Callable[[int, int, np.random.Generator], tuple[int, int]]] = {
    "center": lambda right, below, _: (right // 2, below // 2),
    "random": _random_corner,
    "corner": lambda right, below, _: (0, 0),
}
