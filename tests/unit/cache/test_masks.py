"""Masks are made once, a damaged one is made anew, and one that teaches nothing is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.clips import HEIGHT, WIDTH, whole_picture
from helpers.light import track, write_clips
from helpers.toy import Toy
from reeltune.cache.keys import mask_key
from reeltune.cache.masks import FreshMask, MaskEntry, fill_masks
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Mask, Sample
from reeltune.data.batches import LatentReader
from reeltune.data.sources.local import file_ref
from reeltune.errors import CacheError

GEOMETRY = Toy().facts.geometry


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A clip whose right half counts."""
    (clip,) = write_clips(tmp_path / "clips", 1)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[:, WIDTH // 2 :] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    return replace(clip, mask=Mask(file_ref(tmp_path / "mask.png", tmp_path), still=True))


def entry_of(sample: Sample, place: Path, content: str = "content") -> MaskEntry:
    key = mask_key(sample.placement, content=content, geometry=GEOMETRY)
    return MaskEntry(sample, key, TensorStore(place / "cache"), GEOMETRY)


def test_a_mask_is_made_once_and_a_damaged_one_anew(sample: Sample, tmp_path) -> None:
    entry = entry_of(sample, tmp_path)
    assert fill_masks([entry], track=track) == [""]
    # A copy: what is read is the file itself, which is damaged below.
    grid = entry.store.read(entry.key).clone()
    assert grid.shape == (2, 12, 20)
    assert (grid[..., :10] == 0).all()
    assert (grid[..., 10:] == 1).all()
    path = entry.store.path(entry.key)
    made = path.stat().st_mtime_ns
    assert fill_masks([entry], track=track) == [""]
    assert path.stat().st_mtime_ns == made
    path.write_bytes(b"damaged")
    assert fill_masks([entry], track=track) == [""]
    assert torch.equal(entry.store.read(entry.key), grid)


def test_other_bytes_another_placement_and_another_grid_have_other_names(sample: Sample, tmp_path) -> None:
    key = entry_of(sample, tmp_path).key
    moved = replace(sample, placement=whole_picture((1, 2, 3, 4, 5)))
    assert len({key, entry_of(sample, tmp_path, "other").key, entry_of(moved, tmp_path).key}) == 3
    finer = replace(GEOMETRY, spatial=4)
    assert mask_key(sample.placement, content="content", geometry=finer) != key


def test_a_black_mask_and_one_that_broke_are_told(sample: Sample, tmp_path) -> None:
    assert sample.mask
    path = sample.mask.file.path
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(path)
    black = replace(sample, mask=Mask(file_ref(path, tmp_path), still=True))
    assert fill_masks([], track=track) == []
    (reason,) = fill_masks([entry_of(black, tmp_path)], track=track)
    assert reason.startswith(f"nothing counts: {path} is black in all that is trained of the clip; make white")
    # The entry is whole: what is in it is told again.
    assert fill_masks([entry_of(black, tmp_path)], track=track) == [reason]
    path.write_bytes(b"broken")
    (reason,) = fill_masks([entry_of(black, tmp_path, "broken")], track=track)
    assert reason.startswith(f"{path} cannot be read: ")


def test_a_redrawn_clip_has_the_mask_of_each_epoch_s_part(sample: Sample) -> None:
    def place(epoch: int):
        placement = whole_picture((0, 1, 2, 3, 4), width=80, height=96)
        return replace(placement, resize_width=160, crop_left=40 * epoch)

    reader = FreshMask(sample, place, GEOMETRY)
    assert isinstance(reader, LatentReader)
    assert [float(reader.read(epoch).mean()) for epoch in range(3)] == [0.0, 0.5, 1.0]
    assert sample.mask
    sample.mask.file.path.unlink()
    with pytest.raises(CacheError, match="the mask of .* cannot be read: .*Mend it, or take it away"):
        reader.read(0)
