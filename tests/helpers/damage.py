"""Good files of many formats, and seeded ways to spoil them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.clips import indexed_frames
from helpers.formats import DEPTHS, Make

FORMATS = (
    ("libx264", "mp4"),
    ("libx264", "mkv"),
    ("libx265", "mp4"),
    ("libvpx-vp9", "webm"),
    ("libsvtav1", "mp4"),
    ("mjpeg", "avi"),
    ("libx264", "mov"),
    ("libx264", "avi"),
    ("gif", "gif"),
    ("webp", "webp"),
    ("png", "png"),
)
FRAMES = 17


def textured(seed: int) -> np.ndarray:
    """Return numbered frames full of detail, so that most bytes of a file matter."""
    noise = np.random.default_rng(seed).integers(-30, 30, (FRAMES, 96, 160, 3))
    return np.clip(indexed_frames(FRAMES) + noise, 0, 255).astype(np.uint8)


def write_good(folder: Path, index: int) -> Path:
    """Write a sound file; successive indices go through the formats."""
    codec, container = FORMATS[index % len(FORMATS)]
    path, frames = folder / f"good{index:02}.{container}", textured(index)
    if container == "png":
        Image.fromarray(frames[0]).save(path)
        return path
    make = Make(container, codec, depth=min(DEPTHS.get(codec, [8])), frames=FRAMES)
    return make.write(folder, frames).rename(path)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    """Lose the end: a twentieth to nearly all."""
    return content[: int(len(content) * random.uniform(0.05, 0.95))]


def overwrite(content: bytes, random: np.random.Generator) -> bytes:
    """Put noise in place of a tenth of the file, somewhere."""
    length = max(64, len(content) // 10)
    at = int(random.integers(0, len(content) - length))
    return content[:at] + random.bytes(length) + content[at + length :]


def flip(content: bytes, random: np.random.Generator) -> bytes:
    """Turn over one bit in each of 64 bytes, all over the file."""
    changed = bytearray(content)
    for at in random.integers(0, len(content), 64):
        changed[at] ^= 1 << int(random.integers(8))
    return bytes(changed)


def garbage(content: bytes, random: np.random.Generator) -> bytes:
    """Keep the first bytes, which name the format, and nothing else."""
    kept = int(random.integers(0, 48))
    return content[:kept] + random.bytes(max(64, len(content) - kept))


DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (cut, overwrite, flip, garbage)

UNSEEN = {
    (overwrite, "libx265"),
    (overwrite, "libvpx-vp9"),
    (overwrite, "mjpeg"),
    *((flip, codec) for codec in ("libvpx-vp9", "libsvtav1", "gif", "webp")),
}
"""Damage that no reader can always tell from content: these codecs carry no checksum, and any bits are a picture."""


def write_damaged(folder: Path, good: list[Path], count: int) -> list[Path]:
    """Write so many spoilt files: every format in every way that can be seen, again and again with other seeds."""
    ways = [
        (path, way)
        for way in DAMAGES
        for path, (codec, _) in zip(good, FORMATS, strict=False)
        if (way, codec) not in UNSEEN
    ]
    paths = [folder / f"bad{seed:03}{ways[seed % len(ways)][0].suffix}" for seed in range(count)]
    for seed, path in enumerate(paths):
        source, way = ways[seed % len(ways)]
        path.write_bytes(way(source.read_bytes(), np.random.default_rng(seed)))
    return paths
