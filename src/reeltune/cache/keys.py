"""Names for cache entries: a fingerprint of everything that an entry depends on, so that a stale one is never found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from reeltune.contracts.clip import FileRef, Sample
from reeltune.whole_files import write_json

TRANSFORM_VERSION = 1
"""Raised whenever decoding, resizing, cropping or normalising changes what comes out."""

_CHUNK = 1 << 20


def latent_key(sample: Sample, *, content: str, encoder: str) -> str:
    """Name an encoded clip by its bytes, its frames, its resize and crop, and the autoencoder."""
    return _key({"clip": content, "placement": asdict(sample.placement), "encoder": encoder})


def text_key(prompt: str, *, encoder: str) -> str:
    """Name an encoded caption by its words and the text encoder."""
    return _key({"prompt": prompt, "encoder": encoder})


class ContentFingerprints:
    """Fingerprints of whole files, remembered by path, size and time of change.

    memory: a JSON file, read once and written by `save`.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, list[str | int]] = _read(memory)

    def of(self, file: FileRef) -> str:
        """Return the fingerprint of a file's bytes."""
        name, stamp = str(file.path.resolve()), [file.size_bytes, file.mtime_ns]
        known = self._known.get(name)
        if known is None or known[:2] != stamp:
            self._known[name] = known = [*stamp, _fingerprint(file.path)]
        return str(known[2])

    def save(self) -> None:
        """Write what is known, whole or not at all."""
        write_json(self._memory, self._known)


def digest_of(content: object) -> str:
    """Name anything that JSON can say by its content."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _key(parts: dict[str, object]) -> str:
    return digest_of({"version": TRANSFORM_VERSION, **parts})


def _fingerprint(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read(memory: Path) -> dict[str, list[str | int]]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only a memory: without it the files are read again
    return content if isinstance(content, dict) else {}
