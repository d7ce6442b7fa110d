"""One encoded clip: where it lies, and what it takes to make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Bucket, FileRef, Sample
from reeltune.contracts.family import EncodeVideo
from reeltune.data.decode import decode, to_model_range
from reeltune.errors import UnreadableFile

VIDEO_ADVICE = "Lower resolution or video.num_frames, or set vae_enable_tiling=true."
NOT_FINITE = "the autoencoder gives values that are not finite; try vae_dtype=fp32, or leave the clip out"


@dataclass(frozen=True)
class LatentEntry:
    """A clip, and where its encoding lies or will lie.

    fetch: brings its file here; see `contracts.source.Source`. content: the fingerprint of the file's bytes.
    batch_size: how many may be encoded together.
    """

    sample: Sample
    key: str
    store: TensorStore
    fetch: Callable[[FileRef], Path]
    content: str = ""
    batch_size: int = 1

    @property
    def bucket(self) -> Bucket:
        return self.sample.placement.bucket

    def has_file(self) -> bool:
        """Tell whether the encoding is there, whole or damaged."""
        return self.store.has_file(self.key)


@dataclass(frozen=True)
class Pixels:
    """What the autoencoder is to see of an entry."""

    entry: LatentEntry
    frames: Float[Tensor, "3 F H W"]


@dataclass(frozen=True)
class Refused:
    """A clip that cannot be encoded. lasting: its bytes are at fault, so that it need not be tried again."""

    sample: Sample
    reason: str
    lasting: bool


def pixels_of(entry: LatentEntry) -> Pixels | Refused:
    """Return exactly the frames that an entry is named by, or why they cannot be had."""
    sample = entry.sample
    try:
        path = entry.fetch(sample.file)
    except UnreadableFile as error:
        return Refused(sample, error.reason, lasting=False)
    try:
        frames = decode(path, sample.placement)
    except UnreadableFile as error:
        return Refused(sample, error.reason, lasting=is_as_listed(sample.file))
    if not is_as_listed(sample.file):
        return Refused(sample, "changed while it was read; start again once it is complete", lasting=False)
    return Pixels(entry, to_model_range(frames))


def encode_all(encode: EncodeVideo, clips: Sequence[Float[Tensor, "3 F H W"]]) -> list[Float[Tensor, "C T h w"]]:
    """Encode clips of one shape together."""
    return list(encode(clips[0][None] if len(clips) == 1 else torch.stack(list(clips))))


def is_as_listed(file: FileRef) -> bool:
    """Tell whether a local file is still the one that its entry is named by. Fetched ones belong to us alone."""
    if file.url:
        return True
    try:
        status = file.path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size_bytes, file.mtime_ns)
