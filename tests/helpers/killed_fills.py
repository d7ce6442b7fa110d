"""Fills of a cache that are killed at random moments, or run at once: a program of its own, warmed once, then forked.

    python killed_fills.py light FOLDER KILLS     a light encoder and real clips
    python killed_fills.py tiny FOLDER KILLS      `reeltune prepare` of the configuration FOLDER/config.json

Prints JSON: how many fills died before their end, and what was wrong, in words.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from helpers.light import CPU, Light, entries_in, files_in, track, write_clips
from reeltune.cache.entries import entry_files
from reeltune.cache.fill import fill_latents
from reeltune.cache.store import TensorStore, is_whole

Fill = Callable[[], None]


def light(folder: Path, cache: Path) -> Fill:
    """Return a fill of a cache with six small clips."""
    samples = write_clips(folder / "clips", 6)

    def fill() -> None:
        fill_latents(entries_in(TensorStore(cache, compress=True), samples), family=Light(), device=CPU, track=track)

    return fill


def tiny(folder: Path, cache: Path) -> Fill:
    """Return a fill of the caches of a configuration whose folder is the current one."""
    from reeltune.cli.source import find_datasets
    from reeltune.config.load import load_run
    from reeltune.run.training import prepare

    loaded = load_run([folder / "config.json"], {"cache_dir": str(cache)}, find_datasets=find_datasets)

    def fill() -> None:
        prepare(loaded, track=track).close()

    return fill


def forked(fill: Fill) -> int:
    """Start a fill in a process of its own, and return its number."""
    child = os.fork()
    if child:
        return child
    fill()
    os._exit(0)


def ended_well(child: int) -> bool:
    return os.waitpid(child, 0)[1] == 0


def main(kind: str, folder: Path, kills: int) -> None:
    cache = folder / "cache"
    # Nothing is computed in this process: torch's own threads would not survive the fork.
    fill = {"light": light, "tiny": tiny}[kind](folder, cache)
    takes_s = timed(fill)
    # Twice: on a busy machine one may take far longer, and moments after the end of a fill tell nothing.
    shutil.rmtree(cache)
    takes_s = min(takes_s, timed(fill))
    clean, wrong, died = everything(cache), [], 0
    chance = random.Random(0)
    for number in range(kills):
        shutil.rmtree(cache)
        child = forked(fill)
        time.sleep(chance.uniform(0, takes_s))
        os.kill(child, signal.SIGKILL)
        died += not ended_well(child)
        wrong += [f"kill {number}: {path} is not whole" for path in entries_left(cache) if not is_whole(path)]
        assert ended_well(forked(fill))
        if everything(cache) != clean:
            wrong.append(f"kill {number}: the result differs from a clean fill")
    shutil.rmtree(cache)
    both = [forked(fill) for _ in range(2)]
    if not all([ended_well(child) for child in both]):
        wrong.append("one of two fills at once failed")
    if everything(cache) != clean:
        wrong.append("two fills at once gave something else")
    print(json.dumps({"died": died, "wrong": wrong, "entries": len(clean), "takes_s": takes_s}))


def timed(fill: Fill) -> float:
    """Return how long a fill takes in a process of its own."""
    started = time.monotonic()
    assert ended_well(forked(fill))
    return time.monotonic() - started


def entries_left(cache: Path) -> list[Path]:
    return [entry.path for folder in folders_of(cache) for entry in entry_files(folder)]


def everything(cache: Path) -> dict[str, bytes]:
    """Return every entry of every store below a folder, by its place."""
    return {
        f"{folder.relative_to(cache)}/{name}": content
        for folder in folders_of(cache)
        for name, content in files_in(TensorStore(folder)).items()
    }


def folders_of(cache: Path) -> list[Path]:
    folders = [path for path in cache.rglob("*") if path.is_dir() and any(path.glob("??/*.safetensors*"))]
    return sorted([*folders, *([cache] if any(cache.glob("??/*.safetensors*")) else [])])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
