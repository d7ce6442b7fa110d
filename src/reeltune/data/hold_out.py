"""Which files of a trained dataset are held out: by their names, so that the same files part alike at every start.

Whether a file is held out depends neither on the seed, nor on its captions, sizes or windows. Nor does it depend on the
files beside it, with two exceptions among few files: where no file's lot falls below the share the lowest one is held
out, and where all do the highest one is trained. Which file that is can change when files come or go; the others never
move from one side to the other. The price is that the share is met on average only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from reeltune.contracts.clip import ManifestRow, samples_of

FEWEST_FILES = 2
"""Of fewer, none is held out: something must be left to train."""


def held_out_names(names: Iterable[str], share: float) -> frozenset[str]:
    """Return about this share of the names: at least one, and never all; none of fewer than FEWEST_FILES.

    share: above 0, below 1; each name is held out with this probability.
    """
    lots = {name: lot_of(name) for name in names}
    if len(lots) < FEWEST_FILES:
        return frozenset()
    first, *_, last = sorted(lots, key=lambda name: (lots[name], name))
    drawn = {name for name, lot in lots.items() if lot < share}
    return frozenset((drawn | {first}) - {last})


def parted_by_lot(held_out: Iterable[str], trained: Iterable[str], share: float) -> bool:
    """Tell whether the lots alone parted these names, so that none moves when files come or go."""
    return all(lot_of(name) < share for name in held_out) and all(lot_of(name) >= share for name in trained)


def lot_of(name: str) -> float:
    """Return a file's lot, in [0, 1): the same on every machine, and another than that of max_num_samples."""
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8, person=b"held out").digest()
    # 53 bits: as many as a float holds exactly.
    return (int.from_bytes(digest) >> 11) / 2**53


def without_held_out(rows: Sequence[ManifestRow], share: float) -> tuple[list[ManifestRow], frozenset[str]]:
    """Return the rows of one dataset without those of held-out files, and the names of these files.

    Files of which nothing can be used stay among the rows, with their reasons.
    """
    names = held_out_names((sample.file.name for sample in samples_of(rows)), share)
    return [row for row in rows if row.sample is None or row.sample.file.name not in names], names
