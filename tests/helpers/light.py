"""A family with encoders that cost nothing, clips on disk, and where their encodings lie: for filling caches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.clips import even_times, indexed_frames, whole_picture, write_clip
from helpers.toy import Toy
from reeltune.cache.keys import latent_key
from reeltune.cache.latents import LatentEntry
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import FileRef, Sample
from reeltune.data.probe import probe

CPU = torch.device("cpu")


def track(items: Iterable[Any], title: str, total: int, unit: str) -> Iterator[Any]:
    yield from items


def pooled(frames: Tensor) -> Tensor:
    """Return (B, 4, T, h, w) of (B, 3, F, H, W): means of 8x8 pixels of every fourth frame, and of the colors."""
    small = torch.nn.functional.avg_pool3d(frames[:, :, ::4], (1, 8, 8))
    return torch.cat([small, small.mean(1, keepdim=True)], dim=1)


@dataclass
class Light(Toy):
    """The toy family, with encoders. sizes: how many clips, and how many prompts, each call was given.

    room: clips and prompts that fit into memory at once. opened: how often each encoder was opened.
    """

    room: int = 1000
    memory_error: type[RuntimeError] = torch.OutOfMemoryError
    clip_sizes: list[int] = field(default_factory=list)
    text_sizes: list[int] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    @contextmanager
    def video_encoder(self, device: torch.device) -> Iterator[Any]:
        self.opened.append("video")

        def encode(frames: Tensor) -> Tensor:
            self.clip_sizes.append(len(frames))
            self._take(len(frames))
            return pooled(frames)

        yield encode

    @contextmanager
    def text_encoder(self, device: torch.device) -> Iterator[Any]:
        self.opened.append("text")

        def encode(prompts: Sequence[str]) -> list[Tensor]:
            self.text_sizes.append(len(prompts))
            self._take(len(prompts))
            return [torch.full((len(prompt) + 1, 6), float(len(prompt))) for prompt in prompts]

        yield encode

    def _take(self, count: int) -> None:
        if count > self.room:
            raise self.memory_error("CUDA out of memory. not enough memory: you tried to allocate 9 GB. More words")


def write_clips(folder: Path, count: int, *, frames: int = 9) -> list[Sample]:
    """Write small clips that all differ, and return them as samples of one window each."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for number in range(count):
        path = folder / f"clip{number}.mp4"
        write_clip(path, indexed_frames(frames + number)[number:], even_times(frames, 16))
        samples.append(sample_of(path))
    return samples


def sample_of(path: Path, *, frames: Sequence[int] = (0, 1, 2, 3, 4)) -> Sample:
    status = path.stat()
    file = FileRef(path, status.st_size, status.st_mtime_ns, name=path.name)
    return Sample("set", file, probe(path), whole_picture(frames), (f"a clip called {path.stem}",))


def entries_in(store: TensorStore, samples: Sequence[Sample], *, batch_size: int = 1) -> list[LatentEntry]:
    """Return where the encodings of samples lie."""
    return [
        LatentEntry(sample, key_of(sample), store, lambda file: file.path, batch_size=batch_size) for sample in samples
    ]


def key_of(sample: Sample) -> str:
    content = hashlib.blake2b(sample.file.path.read_bytes(), digest_size=16).hexdigest()
    return latent_key(sample, content=content, encoder="light")


def files_in(store: TensorStore) -> dict[str, bytes]:
    """Return every entry by its place, with its bytes."""
    paths = store.folder.glob("??/*.safetensors*")
    return {path.relative_to(store.folder).as_posix(): path.read_bytes() for path in paths}
