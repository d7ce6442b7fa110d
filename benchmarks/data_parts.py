"""The measurements of `bench_data.py`, each beside what it is compared with. Times are medians of turns."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from data_clips import CONFIG, datasets_of, make_folder
from reeltune.cache.fill import fill_latents
from reeltune.cache.latents import LatentEntry
from reeltune.cache.store import TensorStore
from reeltune.config.model import ModelOptions
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, Placement, Sample
from reeltune.data.batches import BatchSource, Captions, Item, Stored
from reeltune.data.decode import decode, to_model_range
from reeltune.data.inspection import inspect
from reeltune.data.memory import ClipMemory
from reeltune.data.probe import probe
from reeltune.data.sampler import Order, Place
from reeltune.demo.model import make_model
from reeltune.families.opening import Opening
from reeltune.families.wan.family import open_model
from reeltune.randomness import Draws

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """How much is measured. step_s: how long the loop is taken to work on a batch."""

    clips: int
    rounds: int
    width: int = 832
    height: int = 480
    frames: int = 81
    fill_clips: int = 10
    step_s: float = 1.0

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Size:
        whole = cls(arguments.clips, arguments.rounds)
        tiny = replace(whole, clips=20, rounds=1, width=160, height=96, frames=9, fill_clips=2, step_s=0.02)
        return tiny if arguments.tiny else whole


def inspect_clips(folder: Path, size: Size) -> list[str]:
    """Measure what looking at many clips takes, against a bare loop over their packets."""
    make_folder(folder / "clips", clips=size.clips, frames=size.frames, width=320, height=192)
    files = [_file(path) for path in sorted((folder / "clips").glob("*.mp4"))]
    memory = ClipMemory(folder / "none.json")
    ours = _timed(lambda: list(inspect(files, memory=memory, fetch=lambda file: file.path)))
    bare = _timed(lambda: [_packets(file.path) for file in files])
    return [
        f"- {len(files)} clips looked at, by several processes: {ours:.2f} s ({1000 * ours / len(files):.1f} ms each)",
        f"- bare PyAV, one after the other, counting packets only: {bare:.2f} s",
    ]


def decode_clips(folder: Path, size: Size) -> list[str]:
    """Measure frames a second, whole and resized, against PyAV and decord without what makes them exact."""
    make_folder(folder, clips=1, frames=size.frames, width=size.width, height=size.height)
    clip = folder / "clip-0000.mp4"
    half = _whole(size.frames, size.width // 2 // 32 * 32, size.height // 2 // 32 * 32)
    readers: dict[str, Callable[[], Any]] = {
        "reeltune, same size": lambda: decode(clip, _whole(size.frames, size.width, size.height)),
        "reeltune, half size": lambda: decode(clip, half),
        "bare PyAV to RGB, same size": lambda: _frames(clip),
        "bare PyAV to RGB, half size by swscale": lambda: _frames(clip, half.bucket),
        **_decord(clip, size.frames),
    }
    return [
        f"- {name}: {size.frames / seconds:.0f} frames/s" for name, seconds in _in_turns(readers, size.rounds).items()
    ]


def fill_cache(folder: Path, size: Size) -> list[str]:
    """Measure the rate of a fill against the autoencoder alone on frames that lie in memory."""
    make_model(folder / "model", ["a wall"])
    family = open_model(
        ModelOptions(pretrained_model_name_or_path=str(folder / "model")), Opening(torch.float32, keep=True)
    )
    # Smaller than what is trained, so that the tiny autoencoder's pass on a CPU takes a second and not a minute.
    width, height, frames = size.width // 4 // 16 * 16, size.height // 4 // 16 * 16, min(17, size.frames)
    make_folder(folder / "clips", clips=size.fill_clips, frames=frames, width=size.width, height=size.height)
    clips = sorted((folder / "clips").glob("*.mp4"))
    placement = _whole(frames, width, height)

    def fill(turn: int) -> float:
        store = TensorStore(folder / f"cache-{turn}")
        entries = [_entry(path, placement, store, index) for index, path in enumerate(clips)]
        return _timed(lambda: fill_latents(entries, family=family, device=CPU, track=_silent))

    def bare() -> float:
        pixels = [to_model_range(decode(path, placement)) for path in clips]
        with family.video_encoder(CPU) as encode:
            return _timed(lambda: [encode(one[None]) for one in pixels])

    turns = [(fill(turn), bare()) for turn in range(size.rounds)]
    rates = [alone / filled for filled, alone in turns]
    filled, alone = (statistics.median(one) for one in zip(*turns, strict=True))
    return [
        f"- {len(clips)} clips of {size.width}x{size.height}, trained at {placement.bucket}, tiny autoencoder",
        f"- fill (decode, resize, encode, write): {filled:.2f} s; encoding alone: {alone:.2f} s",
        f"- rate of the fill against encoding alone: median {statistics.median(rates):.3f} of {len(rates)} turns "
        f"({min(rates):.3f} to {max(rates):.3f})",
    ]


def start(folder: Path, size: Size) -> list[str]:
    """Measure the first and the later looks at a data set, as the command that users type."""
    make_folder(folder / "clips", clips=size.clips, frames=size.frames, width=320, height=192)
    datasets = datasets_of(folder / "clips", folder / "cache", num_frames=size.frames, resolution=192)
    (folder / "datasets.json").write_text(json.dumps(datasets), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    command = [sys.executable, "-m", "reeltune", "data", "manifest", "--config", "config.json", "--json"]

    def look() -> float:
        return _timed(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))

    cold = look()
    warm = [look() for _ in range(size.rounds)]
    return [
        f"- `reeltune data manifest --json` on {size.clips} clips, first time: {cold:.2f} s",
        f"- again: median {statistics.median(warm):.2f} s of {len(warm)} ({min(warm):.2f} to {max(warm):.2f})",
    ]


def batches(folder: Path, size: Size) -> list[str]:
    """Measure how long the loop waits for a batch, with a cache that is full."""
    lines = []
    for batch_size in (1, 2, 8):
        source = _source(folder / str(batch_size), size, batch_size=batch_size)
        alone = _timed(lambda source=source: [source.batch(position) for position in range(4)]) / 4
        waits: list[float] = []
        reading = source.read_from(0, end=12)
        for _ in range(12):
            waits.append(_timed(partial(next, reading)))
            time.sleep(size.step_s)
        reading.close()
        # The first batch is waited for by everyone: nothing was read ahead of it.
        mean, longest = statistics.fmean(waits[1:]), max(waits[1:])
        lines.append(
            f"- batch of {batch_size}: read in {1000 * alone:.1f} ms; behind steps of {size.step_s:g} s the loop waits "
            f"{1000 * mean:.2f} ms = {mean / size.step_s:.2%} (longest {1000 * longest:.2f} ms)"
        )
    return lines


def _source(folder: Path, size: Size, *, batch_size: int) -> BatchSource:
    """Return batches of clips of 832x480x81, 8.4 MB each, with captions of 60 tokens."""
    store, bucket = TensorStore(folder), Bucket(size.width, size.height, size.frames)
    generator = torch.Generator().manual_seed(0)
    shape = (16, 1 + (size.frames - 1) // 4, size.height // 8, size.width // 8)
    items = []
    for index in range(2 * batch_size):
        store.write(f"{index:032x}", torch.randn(shape, generator=generator))
        store.write(f"{index + 1000:032x}", torch.randn(60, 4096, generator=generator).bfloat16())
        key = f"{index:032x}"
        items.append(Item(f"clip-{index}", bucket, Stored(store, key), key, (f"{index + 1000:032x}",)))
    draws = Draws(0)
    order = Order([Place(bucket) for _ in items], batch_size=batch_size, draws=draws)
    return BatchSource(items, Captions(store, items[0].caption_keys[0], 0.1), order, draws, batch_size, accumulation=1)


def _file(path: Path) -> FileRef:
    status = path.stat()
    return FileRef(path, status.st_size, status.st_mtime_ns, name=path.name)


def _whole(frames: int, width: int, height: int) -> Placement:
    return Placement(Bucket(width, height, frames), tuple(range(frames)), width, height, 0, 0)


def _entry(path: Path, placement: Placement, store: TensorStore, index: int) -> LatentEntry:
    info: ClipInfo = probe(path)
    sample = Sample("clips", _file(path), info, placement, ("a wall",))
    return LatentEntry(sample, f"{index:032x}", store, lambda file: file.path)


def _packets(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def _frames(path: Path, bucket: Bucket | None = None) -> np.ndarray:
    width, height = (bucket.width, bucket.height) if bucket else (None, None)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return np.stack(
            [frame.to_ndarray(format="rgb24", width=width, height=height) for frame in container.decode(video=0)]
        )


def _decord(path: Path, frames: int) -> dict[str, Callable[[], Any]]:
    try:
        import decord  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    name = f"decord {decord.__version__} to RGB, same size"
    return {name: lambda: decord.VideoReader(str(path)).get_batch(range(frames)).asnumpy()}


def _in_turns(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median time of each, taken in turns so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(_timed(work))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    assert math.isfinite(seconds)
    return seconds


def _silent(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
    return iter(items)
