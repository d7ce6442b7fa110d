"""Clips to train on: grey shapes that bounce, roll, grow, slide and spin, each with its caption beside it.

The same count and seed give the same bytes. 24 clips take about two seconds and less than half a megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

from reeltune.demo.drawing import GROUNDS, MOTIONS, SHAPES, Scene, draw
from reeltune.media import write_mp4
from reeltune.whole_files import whole_folder

SIZES = ((192, 108), (160, 120), (128, 128), (108, 192), (208, 120))
# The shortest still holds 17 frames at 16 per second, which span 1.0625 s.
LENGTHS_S = (1.25, 1.5, 2.0, 2.5, 3.0)
RATES = (16.0, 24.0, 30.0, 12.0, 25.0)
BEATS_S = (0.7, 0.9, 1.1)

ACTIONS = {"bouncing": "bouncing on the floor in front of", "rolling": "rolling past", "sliding": "sliding along"}

Item = TypeVar("Item")


@dataclass(frozen=True)
class Clip:
    """One clip before it is drawn."""

    scene: Scene
    size: tuple[int, int]
    length_s: float
    fps: float

    @property
    def caption(self) -> str:
        """Describe the scene in one sentence without a full stop."""
        tone = "white" if self.scene.light_shape else "black"
        action = ACTIONS.get(self.scene.motion, f"{self.scene.motion} in front of")
        return f"a black and white cartoon of a {tone} {self.scene.shape} {action} a {self.scene.ground} wall"


def make_clips(folder: Path, *, count: int = 24, seed: int = 0) -> list[str]:
    """Write `count` mp4 files, each with a txt of the same stem, and return the captions in order of file name.

    A folder that exists is left as it is, whatever it holds; its captions are returned.
    """
    if not folder.exists():
        with whole_folder(folder) as draft:
            for number, clip in enumerate(plan_clips(count, seed=seed)):
                _write(draft / f"{clip.scene.motion}-{clip.scene.shape}-{number:02d}.mp4", clip)
    return [path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.txt"))]


def plan_clips(count: int, *, seed: int) -> list[Clip]:
    """Deal every property evenly: each value of each comes up before any of them comes again."""
    random = np.random.default_rng(seed)
    actors = _deal(random, list(product(SHAPES, MOTIONS)), count)
    grounds = _deal(random, list(GROUNDS), count)
    tones = _deal(random, [True, False], count)
    beats = _deal(random, BEATS_S, count)
    scenes = [Scene(*actors[n], ground=grounds[n], light_shape=tones[n], beat_s=beats[n]) for n in range(count)]
    sizes, lengths_s, rates = _deal(random, SIZES, count), _deal(random, LENGTHS_S, count), _deal(random, RATES, count)
    return [Clip(scenes[n], size=sizes[n], length_s=lengths_s[n], fps=rates[n]) for n in range(count)]


def _deal(random: np.random.Generator, values: Sequence[Item], count: int) -> list[Item]:
    rounds = -(-count // len(values))
    return [values[n] for _ in range(rounds) for n in random.permutation(len(values))][:count]


def _write(path: Path, clip: Clip) -> None:
    width, height = clip.size
    frames = draw(clip.scene, width=width, height=height, num_frames=round(clip.length_s * clip.fps), fps=clip.fps)
    write_mp4(path, frames, fps=clip.fps)
    path.with_suffix(".txt").write_text(f"{clip.caption}\n", encoding="utf-8")
