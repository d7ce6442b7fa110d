"""Encode what the cache lacks, one encoder in memory at a time; what is already there is kept.

An interrupted fill goes on where it stopped: each entry is written as soon as it is encoded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reeltune.cache.keys import text_key
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Sample
from reeltune.contracts.family import EncodeVideo, Family
from reeltune.contracts.progress import Track
from reeltune.data.decode import decode, to_model_range
from reeltune.errors import UnreadableFile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentEntry:
    """A clip, and where its encoding lies or will lie."""

    sample: Sample
    key: str
    store: TensorStore


def fill_text(
    prompts: Iterable[str], store: TensorStore, *, family: Family, device: torch.device, track: Track
) -> dict[str, str]:
    """Encode each prompt that the store lacks; return the key of every prompt."""
    encoder = family.text_fingerprint()
    keys = {prompt: text_key(prompt, encoder=encoder) for prompt in dict.fromkeys(prompts)}
    checked = track(keys.items(), "checking encoded captions", len(keys), "captions")
    missing = [prompt for prompt, key in checked if not store.holds(key)]
    if missing:
        with family.text_encoder(device) as encode:
            for prompt in track(missing, "encoding captions", len(missing), "captions"):
                (embedding,) = encode([prompt])
                store.write(keys[prompt], embedding)
    return keys


def fill_latents(
    entries: Sequence[LatentEntry], *, family: Family, device: torch.device, track: Track
) -> dict[Path, str]:
    """Encode each clip that its store lacks; return those that cannot be, each with the reason."""
    checked = track(entries, "checking encoded clips", len(entries), "clips")
    missing = [entry for entry in checked if not entry.store.holds(entry.key)]
    refused: dict[Path, str] = {}
    if missing:
        with family.video_encoder(device) as encode:
            for entry in track(missing, "encoding clips", len(missing), "clips"):
                try:
                    entry.store.write(entry.key, _encoded(entry.sample, encode))
                except UnreadableFile as error:
                    log.warning("left out: %s", error)
                    refused[error.path] = f"unreadable: {error.reason}"
    return refused


def _encoded(sample: Sample, encode: EncodeVideo) -> Tensor:
    latents = encode(to_model_range(decode(sample.file.path, sample.placement)))
    if not latents.isfinite().all():
        raise UnreadableFile(sample.file.path, "the autoencoder gives values that are not finite")
    return latents
