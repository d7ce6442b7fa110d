"""Encode what the caches lack, one encoder in memory at a time; what is already there is kept.

Clips are decoded by threads ahead, encoded here, and written by a thread behind, so that the encoder does not wait.
Each entry is written whole as soon as it is encoded: an interrupted fill goes on where it stopped, and two that run at
once share the work: each starts at a place of its own and looks again right before it encodes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, groupby, islice
from typing import TypeVar

import torch
from torch import Tensor

from reeltune.cache.ahead import Behind, ahead, behind
from reeltune.cache.halving import Halving
from reeltune.cache.latents import NOT_FINITE, VIDEO_ADVICE, LatentEntry, Pixels, Refused, encode_all, pixels_of
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Bucket
from reeltune.contracts.family import Family
from reeltune.contracts.progress import Track

log = logging.getLogger(__name__)

Part = TypeVar("Part")

ROOM_BYTES = 2 << 30
"""Frames that are decoded ahead at most, as the float32 numbers that the autoencoder takes: 5 clips of 81 at 480p."""
DECODERS = 4
"""Clips that are decoded at once at most."""
TEXT_ADVICE = "Set text_encoder_1_precision=int8-quanto, or free memory on this device."


def fill_text(
    keys: Mapping[str, str],
    store: TensorStore,
    *,
    family: Family,
    device: torch.device,
    track: Track,
    batch_size: int = 1,
) -> None:
    """Encode each prompt that the store lacks. keys: by prompt."""
    missing = [prompt for prompt, key in keys.items() if not store.has_file(key)]
    if not missing:
        return
    batches = _own_turn([missing[at : at + batch_size] for at in range(0, len(missing), batch_size)])
    prompts = track(chain.from_iterable(batches), "encoding captions", len(missing), "captions")
    with family.text_encoder(device) as encode, behind() as writer:
        encoder = Halving(encode, noun="captions", advice=TEXT_ADVICE)
        for batch in _gathered(prompts, map(len, batches)):
            wanted = [prompt for prompt in batch if not store.has_file(keys[prompt])]
            for prompt, embedding in zip(wanted, encoder(wanted), strict=True):
                writer.do(partial(store.write, keys[prompt], embedding))


def fill_latents(
    entries: Sequence[LatentEntry], *, family: Family, device: torch.device, track: Track
) -> dict[str, Refused]:
    """Encode each clip that its store lacks; return those that cannot be, by origin, each with the reason."""
    lacking = {(entry.store, entry.key): entry for entry in entries if not entry.has_file()}
    if not lacking:
        return {}
    batches = _own_turn(list(_batches(list(lacking.values()))))
    refused: dict[str, Refused] = {}
    with (
        family.video_encoder(device) as encode,
        behind() as writer,
        closing(_decoded(list(chain.from_iterable(batches)))) as decoded,
    ):
        encoder = Halving(partial(encode_all, encode), noun="clips", advice=VIDEO_ADVICE)
        for batch in _gathered(track(decoded, "encoding clips", len(lacking), "clips"), map(len, batches)):
            for one in batch:
                if isinstance(one, Refused):
                    _refuse(one, refused)
            clips = [one for one in batch if isinstance(one, Pixels) and not one.entry.has_file()]
            bucket = clips[0].entry.bucket if clips else None
            for clip, latents in zip(clips, encoder([clip.frames for clip in clips], bucket), strict=True):
                _write(clip.entry, latents, writer, refused)
    return refused


def _decoded(entries: Sequence[LatentEntry]) -> Generator[Pixels | Refused | None, None, None]:
    """Yield what each clip shows; None for one that another process has encoded meanwhile."""
    # One core is left to the encoder, which on a CPU is what everything waits for.
    workers = min(DECODERS, max(1, (os.cpu_count() or 1) - 1))
    return ahead(entries, _pixels_if_lacking, size_of=_frame_bytes, room=ROOM_BYTES, workers=workers)


def _gathered(parts: Iterable[Part], sizes: Iterable[int]) -> Iterator[list[Part]]:
    """Yield the parts in groups of these sizes, which are as many as there are parts."""
    rest = iter(parts)
    for size in sizes:
        yield list(islice(rest, size))
    # What shows the progress ends when it has been asked for more than there is.
    assert next(rest, None) is None


def _pixels_if_lacking(entry: LatentEntry) -> Pixels | Refused | None:
    return None if entry.has_file() else pixels_of(entry)


def _write(entry: LatentEntry, latents: Tensor, writer: Behind, refused: dict[str, Refused]) -> None:
    if latents.isfinite().all():
        writer.do(partial(entry.store.write, entry.key, latents))
    else:
        _refuse(Refused(entry.sample, NOT_FINITE, lasting=False), refused)


def _refuse(one: Refused, refused: dict[str, Refused]) -> None:
    if one.sample.file.origin not in refused:
        log.warning("left out: %s: %s", one.sample.file.origin, one.reason)
    refused.setdefault(one.sample.file.origin, one)


def _frame_bytes(entry: LatentEntry) -> int:
    bucket = entry.bucket
    return 4 * 3 * bucket.frames * bucket.height * bucket.width


def _batches(entries: Sequence[LatentEntry]) -> Iterator[list[LatentEntry]]:
    """Yield entries of one shape together, as many as their datasets say."""

    def kind(entry: LatentEntry) -> tuple[Bucket, int]:
        return entry.bucket, entry.batch_size

    for (_, size), group in groupby(sorted(entries, key=kind), kind):
        alike = list(group)
        yield from (alike[at : at + size] for at in range(0, len(alike), size))


def _own_turn(parts: list[Part]) -> list[Part]:
    """Return the parts in order from a place that differs between processes, so that two meet instead of racing."""
    name = f"{socket.gethostname()} {os.getpid()}"
    start = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) % len(parts)
    return parts[start:] + parts[:start]
