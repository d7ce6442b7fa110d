"""Clips that are encoded when they are trained: those that lie in the cache are read, others made on the spot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from reeltune.cache.halving import Halving
from reeltune.cache.latents import NOT_FINITE, VIDEO_ADVICE, LatentEntry, Refused, encode_all, pixels_of
from reeltune.contracts.clip import Placement
from reeltune.contracts.family import Family
from reeltune.errors import CacheError

log = logging.getLogger(__name__)


class Encoder:
    """Reads or makes encoded clips; the autoencoder is opened for the first that is missing, and stays until `close`.

    refuse: told of each clip that cannot be encoded, before CacheError is raised for it.
    """

    def __init__(self, family: Family, device: torch.device, *, refuse: Callable[[Refused], None]) -> None:
        self._family, self._device, self._refuse = family, device, refuse
        self._open = ExitStack()
        self._encode: Halving[Tensor] | None = None
        # One clip at a time: the autoencoder keeps state between the frames of a clip.
        self._turn = threading.Lock()

    def read(self, entry: LatentEntry) -> Float[Tensor, "C T h w"]:
        """Return an entry, made first if need be. Raises CacheError for a clip that cannot be encoded."""
        if entry.has_file():
            try:
                return entry.store.read(entry.key)
            except CacheError as error:
                log.warning("%s Encoding it now.", str(error).partition(" Start the run")[0])
                entry.store.remove(entry.key)
        pixels = pixels_of(entry)
        if isinstance(pixels, Refused):
            raise self._refusal(pixels)
        with self._turn:
            (latents,) = self._opened()([pixels.frames], entry.bucket)
            if not latents.isfinite().all():
                raise self._refusal(Refused(entry.sample, NOT_FINITE, lasting=False))
            entry.store.write(entry.key, latents)
        return latents

    def close(self) -> None:
        """Let go of the autoencoder."""
        with self._turn:
            self._encode = None
            self._open.close()

    def _opened(self) -> Halving[Tensor]:
        if self._encode is None:
            encode = self._open.enter_context(self._family.video_encoder(self._device))
            self._encode = Halving(partial(encode_all, encode), noun="clips", advice=VIDEO_ADVICE)
        return self._encode

    def _refusal(self, refused: Refused) -> CacheError:
        self._refuse(refused)
        rest = "the next start goes on without it" if refused.lasting else "mend it, or take it out of the dataset"
        return CacheError(
            f"{refused.sample.id} cannot be encoded: {refused.reason}. Start the run again: {rest}. "
            "Training goes on from the last checkpoint."
        )


@dataclass(frozen=True)
class OnDemand:
    """A clip that is encoded when it is first trained."""

    entry: LatentEntry
    encoder: Encoder

    def read(self, epoch: int) -> Float[Tensor, "C T h w"]:
        return self.encoder.read(self.entry)


@dataclass(frozen=True)
class FreshEachEpoch:
    """A clip that shows another part of itself in each epoch; only the newest encoding is kept.

    entry: of epoch 0. place: where its frames go in an epoch. key_of: names the encoding of a placement.
    kept: keys that others in the same store need too.
    """

    entry: LatentEntry
    encoder: Encoder
    place: Callable[[int], Placement]
    key_of: Callable[[Placement], str]
    kept: Collection[str] = frozenset()

    def read(self, epoch: int) -> Float[Tensor, "C T h w"]:
        entry = self._entry(epoch)
        latents = self.encoder.read(entry)
        if epoch:
            before = self._entry(epoch - 1)
            if before.key != entry.key and before.key not in self.kept:
                before.store.remove(before.key)
        return latents

    def _entry(self, epoch: int) -> LatentEntry:
        placement = self.place(epoch)
        sample = replace(self.entry.sample, placement=placement)
        return replace(self.entry, sample=sample, key=self.key_of(placement))
