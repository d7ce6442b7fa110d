"""Real clips for measuring the data path: moving noise-free patterns with fine texture, H.264, captions beside them."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import date
from pathlib import Path

import av
import numpy as np
import torch

from reeltune.media import write_mp4

CONFIG = {
    "model_family": "wan",
    "model_type": "lora",
    "optimizer": "optimi-lion",
    "output_dir": "output/bench",
    "data_backend_config": "datasets.json",
    "max_train_steps": 1,
}
"""The options of a run that is never started."""


def moving_picture(*, frames: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """Return uint8 (F, H, W, 3): a textured picture that slides a few pixels a frame."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 16 + 8, width // 16 + 8, 3), dtype=np.uint8)
    picture = coarse.repeat(16, 0).repeat(16, 1)
    return np.stack(
        [picture[shift : shift + height, 2 * shift : 2 * shift + width] for shift in np.arange(frames) % 64]
    )


def make_folder(folder: Path, *, clips: int, frames: int, width: int, height: int, distinct: int = 10) -> None:
    """Write captioned clips. distinct: how many files are really different; the others are links to them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(clips):
        clip = folder / f"clip-{index:04}.mp4"
        if index < distinct:
            write_mp4(clip, moving_picture(frames=frames, width=width, height=height, seed=index), fps=16)
        else:
            os.link(folder / f"clip-{index % distinct:04}.mp4", clip)
        clip.with_suffix(".txt").write_text(f"a textured wall, view {index}", encoding="utf-8")


def datasets_of(folder: Path, cache: Path, *, num_frames: int, resolution: int) -> list[dict[str, object]]:
    """Return a dataset file for a folder of clips."""
    return [
        {
            "id": "clips",
            "dataset_type": "video",
            "instance_data_dir": str(folder),
            "cache_dir_vae": str(cache / "vae"),
            "resolution": resolution,
            "resolution_type": "pixel",
            "video": {"num_frames": num_frames},
        },
        {"id": "text", "dataset_type": "text_embeds", "cache_dir": str(cache / "text")},
    ]


def headline(words: list[str]) -> str:
    """Return what a result needs to be one: hardware, versions, commit, date, command."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], text=True, capture_output=True, check=False)
    return (
        f"## {date.today()}, commit {commit.stdout.strip() or 'unknown'}\n\n"
        f"`python {' '.join(words)}`: {os.cpu_count()} cores of {_processor()}, one thread, "
        f"torch {torch.__version__}, PyAV {av.__version__}, Python {platform.python_version()}"
    )


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
