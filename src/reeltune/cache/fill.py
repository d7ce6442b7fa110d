"""Encode what the cache lacks, one encoder in memory at a time; what is already there is kept.

An interrupted fill goes on where it stopped: each entry is written as soon as it is encoded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from reeltune.cache.keys import text_key
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Sample
from reeltune.contracts.family import Family
from reeltune.contracts.progress import Track
from reeltune.data.decode import decode, to_model_range

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
    missing = [prompt for prompt, key in keys.items() if not store.holds(key)]
    log.info("captions: %d encoded before, %d to encode", len(keys) - len(missing), len(missing))
    if missing:
        with family.text_encoder(device) as encode:
            for prompt in track(missing, "encoding captions", len(missing), "captions"):
                (embedding,) = encode([prompt])
                store.write(keys[prompt], embedding)
    return keys


def fill_latents(entries: Sequence[LatentEntry], *, family: Family, device: torch.device, track: Track) -> None:
    """Encode each clip that its store lacks."""
    missing = [entry for entry in entries if not entry.store.holds(entry.key)]
    log.info("clips: %d encoded before, %d to encode", len(entries) - len(missing), len(missing))
    if missing:
        with family.video_encoder(device) as encode:
            for entry in track(missing, "encoding clips", len(missing), "clips"):
                frames = to_model_range(decode(entry.sample.file.path, entry.sample.placement))
                entry.store.write(entry.key, encode(frames))
