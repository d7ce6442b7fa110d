"""Moving grey shapes on grey grounds, drawn with signed distances. numpy only.

Distances are in pixels, negative inside; a distance becomes ink by a ramp two pixels wide, so that edges are soft.
Lengths of a scene are shares of the frame's shorter side, times are in seconds: a scene looks the same at every size
and frame rate. Greys are in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Field = Callable[[Array, Array, float], Array]
"""Distance at every (x, y), given the radius of a shape or the unit of a ground."""

FLOOR = 0.36
ON_FLOOR = ("bouncing", "rolling")


@dataclass(frozen=True)
class Pose:
    """Where a shape is: x and y from the middle of the frame, y downward, `radius` to its corners, `angle` in rad."""

    x: float = 0.0
    y: float = 0.0
    radius: float = 0.26
    angle: float = 0.0


@dataclass(frozen=True)
class Scene:
    """What moves, how, and in front of what: names from SHAPES, MOTIONS and GROUNDS."""

    shape: str
    motion: str
    ground: str
    light_shape: bool
    beat_s: float
    """Time of one bounce; the other motions keep the same tempo."""


@dataclass(frozen=True)
class _Canvas:
    """Pixel centres as seen from the middle of the frame; `unit` is the shorter side, `reach` half the width in it."""

    x: Array
    y: Array
    unit: float
    reach: float


def draw(scene: Scene, *, width: int, height: int, num_frames: int, fps: float) -> Array:
    """Return uint8 frames (F, H, W, 3) whose three channels are equal."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    unit = float(min(width, height))
    canvas = _Canvas(x - width / 2, y - height / 2, unit=unit, reach=0.5 * width / unit)
    ground = _ground(scene, canvas)
    grey = np.stack([_frame(scene, canvas, ground=ground, time_s=index / fps) for index in range(num_frames)])
    return np.repeat(np.round(255 * grey).astype(np.uint8)[..., None], 3, axis=3)


def _frame(scene: Scene, canvas: _Canvas, *, ground: Array, time_s: float) -> Array:
    pose, unit = MOTIONS[scene.motion](time_s / scene.beat_s, canvas.reach), canvas.unit
    x, y = canvas.x - pose.x * unit, canvas.y - pose.y * unit
    cos, sin = math.cos(pose.angle), math.sin(pose.angle)
    x, y, radius = cos * x + sin * y, cos * y - sin * x, pose.radius * unit
    distance = SHAPES[scene.shape](x, y, radius)
    fill, line = (0.93, 0.06) if scene.light_shape else (0.10, 0.95)
    outline = _ink(ground, distance - 0.022 * unit, grey=line)
    filled = _ink(outline, distance + 0.012 * unit, grey=fill)
    return _ink(filled, _eyes(x, y, radius), grey=line)


def _ink(below: Array, distance: Array, *, grey: float) -> Array:
    cover = np.clip(0.5 - 0.5 * distance, 0, 1)
    return below + cover * (grey - below)


def _ground(scene: Scene, canvas: _Canvas) -> Array:
    dim, bright = (0.22, 0.40) if scene.light_shape else (0.62, 0.80)
    x, y, unit = canvas.x, canvas.y, canvas.unit
    painted = _ink(np.full_like(x, dim), GROUNDS[scene.ground](x, y, unit), grey=bright)
    if scene.motion in ON_FLOOR:
        painted = _ink(painted, FLOOR * unit - y, grey=dim / 2)
    # Darker toward the corners, as through an old lens.
    corner = x[0, 0] ** 2 + y[0, 0] ** 2
    return painted * (1 - 0.16 * (x**2 + y**2) / corner)


def _eyes(x: Array, y: Array, radius: float) -> Array:
    # Two tall ovals: without them nobody could see a circle spin.
    return np.hypot(2 * (np.abs(x) - 0.15 * radius), y + 0.04 * radius) - 0.15 * radius


def _bouncing(beat: float, reach: float) -> Pose:
    hop = abs(math.sin(math.pi * beat))
    return Pose(x=(reach - 0.26) * math.sin(0.9 * beat - 0.8), y=FLOOR - 0.24 - 0.36 * hop, radius=0.24)


def _rolling(beat: float, reach: float) -> Pose:
    x = (reach - 0.26) * math.sin(1.6 * beat - 1.2)
    return Pose(x=x, y=FLOOR - 0.26, angle=x / 0.26)


def _growing(beat: float, reach: float) -> Pose:
    return Pose(radius=0.27 - 0.15 * math.cos(math.pi * beat))


def _sliding(beat: float, reach: float) -> Pose:
    return Pose(x=(reach - 0.3) * math.sin(2.2 * beat - 1.3))


def _spinning(beat: float, reach: float) -> Pose:
    return Pose(radius=0.36, angle=0.5 * math.pi * beat)


def _circle(x: Array, y: Array, radius: float) -> Array:
    return np.hypot(x, y) - radius


def _square(x: Array, y: Array, radius: float) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - radius * math.sqrt(0.5)


def _star(points: int, sharpness: float) -> Field:
    """Return the distance to a star; sharpness 2 is the regular polygon, `points` is all spikes.

    Source: Inigo Quilez, "2D distance functions", sdStar: fold the plane into one half spike, measure to its edge.
    """
    half, edge = math.pi / points, math.pi / sharpness
    edge_x, edge_y = math.cos(edge), math.sin(edge)

    def distance(x: Array, y: Array, radius: float) -> Array:
        turn = np.mod(np.arctan2(x, -y), 2 * half) - half
        across = np.hypot(x, y) * np.cos(turn) - radius * math.cos(half)
        along = np.hypot(x, y) * np.abs(np.sin(turn)) - radius * math.sin(half)
        slide = np.clip(-(across * edge_x + along * edge_y), 0, radius * math.sin(half) / edge_y)
        across, along = across + slide * edge_x, along + slide * edge_y
        return np.hypot(across, along) * np.sign(across)

    return distance


def _stripes(x: Array, y: Array, unit: float) -> Array:
    pitch = unit / 5
    return np.abs(np.mod(x + 0.5 * y, pitch) - pitch / 2) - pitch / 4


def _dots(x: Array, y: Array, unit: float) -> Array:
    pitch = unit / 5
    return np.hypot(np.mod(x, pitch) - pitch / 2, np.mod(y, pitch) - pitch / 2) - pitch / 4


def _checks(x: Array, y: Array, unit: float) -> Array:
    pitch = unit / 2.5
    across, down = (np.abs(np.mod(axis, pitch) - pitch / 2) - pitch / 4 for axis in (x, y))
    return np.sign(across * down) * np.minimum(np.abs(across), np.abs(down))


SHAPES: dict[str, Field] = {
    "circle": _circle,
    "triangle": _star(3, 2.0),
    "square": _square,
    "star": _star(5, 3.0),
    "sun": _star(8, 3.0),
}
MOTIONS: dict[str, Callable[[float, float], Pose]] = {
    "bouncing": _bouncing,
    "rolling": _rolling,
    "growing": _growing,
    "sliding": _sliding,
    "spinning": _spinning,
}
# Distance 0 is half covered: the plain ground is one even grey.
GROUNDS: dict[str, Field] = {"plain": lambda x, y, _: 0 * x, "striped": _stripes, "dotted": _dots, "checked": _checks}
