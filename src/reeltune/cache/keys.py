"""Names for cache entries: a fingerprint of everything that an entry depends on, so that a stale one is never found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from reeltune.contracts.clip import Placement, Sample
from reeltune.contracts.geometry import LatentGeometry

TRANSFORM_VERSION = 1
"""Raised whenever decoding, resizing, cropping or normalising changes what comes out."""


def latent_key(sample: Sample, *, content: str, encoder: str) -> str:
    """Name an encoded clip by its bytes, its frames, its resize and crop, and the autoencoder."""
    return _key({"clip": content, "placement": asdict(sample.placement), "encoder": encoder})


def mask_key(placement: Placement, *, content: str, geometry: LatentGeometry) -> str:
    """Name a mask on the grid of the latents by its bytes, the placement of its clip, and the grid."""
    grid = [geometry.spatial, geometry.temporal]
    return _key({"mask": content, "placement": asdict(placement), "grid": grid})


def text_key(prompt: str, *, encoder: str) -> str:
    """Name an encoded caption by its words and the text encoder."""
    return _key({"prompt": prompt, "encoder": encoder})


def digest_of(content: object) -> str:
    """Name anything that JSON can say by its content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _key(parts: dict[str, object]) -> str:
    return digest_of({"version": TRANSFORM_VERSION, **parts})
