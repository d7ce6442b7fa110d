"""Masks on the grid of the latents: made once, and kept beside the encoded clips that they belong to.

Nothing of a model is needed, so all that last are made before training, also for clips that are encoded on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from reeltune.cache.fill import DECODERS
from reeltune.cache.latents import is_as_listed
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Placement, Sample
from reeltune.contracts.geometry import LatentGeometry
from reeltune.contracts.progress import Track
from reeltune.data.mask_grids import read_mask
from reeltune.errors import CacheError, UnreadableFile


@dataclass(frozen=True)
class MaskEntry:
    """A sample that has a mask, and where that lies or will lie on the grid of the latents."""

    sample: Sample
    key: str
    store: TensorStore
    geometry: LatentGeometry


def fill_masks(entries: Sequence[MaskEntry], *, track: Track) -> list[str]:
    """Make each mask that its store lacks; return, for each entry in order, why its clip cannot be trained with it.

    The reason is empty where it can be.
    """
    if not entries:
        return []
    pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="masks")
    try:
        reasons = pool.map(_fill, entries)
        return list(track(reasons, "reading masks", len(entries), "masks"))
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class FreshMask:
    """The mask of a clip that shows another part of itself in each epoch: cut anew whenever it is read.

    place: where the clip's frames go in an epoch. A part in which nothing counts teaches nothing.
    """

    sample: Sample
    place: Callable[[int], Placement]
    geometry: LatentGeometry

    def read(self, epoch: int) -> Float[Tensor, "T h w"]:
        """Return the mask of an epoch's part. Raises CacheError, with what to do, where the file breaks."""
        assert self.sample.mask
        try:
            return read_mask(self.sample.mask, self.place(epoch), self.geometry)
        except UnreadableFile as error:
            raise CacheError(
                f"the mask of {self.sample.id} cannot be read: {error}. Mend it, or take it away, and start the run "
                "again: it goes on from its last checkpoint."
            ) from error


def _fill(entry: MaskEntry) -> str:
    return next(_faults(entry), "")


def _faults(entry: MaskEntry) -> Iterator[str]:
    mask = entry.sample.mask
    assert mask
    try:
        grid = entry.store.read(entry.key) if entry.store.has_file(entry.key) else None
    except CacheError:
        grid = None
    if grid is None:
        try:
            grid = read_mask(mask, entry.sample.placement, entry.geometry)
        except UnreadableFile as error:
            yield f"{mask.file.origin} cannot be read: {error.reason}; or take it away to train the clip whole"
            return
        if not is_as_listed(mask.file):
            yield f"{mask.file.origin} changed while it was read; start again once it is complete"
            return
        entry.store.write(entry.key, grid)
    if not grid.any():
        yield (
            f"nothing counts: {mask.file.origin} is black in all that is trained of the clip; make white what should "
            "be trained, or take it away to train the clip whole"
        )
