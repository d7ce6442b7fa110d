"""Clips that are encoded when they are trained are the clips that would have been encoded before."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.clips import whole_picture
from helpers.light import CPU, Light, entries_in, files_in, key_of, sample_of, track, write_clips
from reeltune.cache.fill import fill_latents
from reeltune.cache.latents import Refused
from reeltune.cache.ondemand import Encoder, FreshEachEpoch, OnDemand
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Placement, Sample
from reeltune.data.batches import LatentReader
from reeltune.errors import CacheError


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return write_clips(tmp_path_factory.mktemp("clips"), 3)


def encoder(family: Light, refused: list[Refused] | None = None) -> Encoder:
    return Encoder(family, CPU, refuse=(refused if refused is not None else []).append)


def test_on_demand_gives_and_leaves_behind_what_filling_ahead_does(samples, tmp_path) -> None:
    ahead, later = TensorStore(tmp_path / "ahead"), TensorStore(tmp_path / "later", compress=True)
    fill_latents(entries_in(ahead, samples), family=Light(), device=CPU, track=track)
    family = Light()
    making = encoder(family)
    for epoch in range(2):
        for entry in entries_in(later, samples):
            reader = OnDemand(entry, making)
            assert isinstance(reader, LatentReader)
            assert torch.equal(reader.read(epoch), ahead.read(entry.key))
    assert (family.opened, family.clip_sizes) == (["video"], [1, 1, 1])
    making.close()
    assert len(files_in(later)) == 3
    assert OnDemand(entries_in(later, samples)[0], encoder(untouched := Light())).read(2).shape == (4, 2, 12, 20)
    assert untouched.opened == []


def test_a_damaged_entry_is_made_anew(samples, tmp_path) -> None:
    store = TensorStore(tmp_path)
    (entry,) = entries_in(store, samples[:1])
    wanted = OnDemand(entry, encoder(Light())).read(0)
    store.path(entry.key).write_bytes(b"damaged")
    assert torch.equal(OnDemand(entry, encoder(Light())).read(0), wanted)
    assert store.holds(entry.key)


def test_a_clip_that_breaks_ends_the_run_with_its_name_and_is_remembered(samples, tmp_path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(samples[0].file.path.read_bytes())
    sample = sample_of(path)
    path.write_bytes(path.read_bytes()[:-900])
    os.utime(path, ns=(sample.file.mtime_ns, sample.file.mtime_ns))
    sample = replace(sample, file=replace(sample.file, size_bytes=path.stat().st_size))
    (entry,), refused = entries_in(TensorStore(tmp_path), [sample]), []
    with pytest.raises(CacheError, match=r"broken.mp4 cannot be encoded.*the next start goes on without it"):
        OnDemand(entry, encoder(Light(), refused)).read(0)
    assert [(one.sample.file.path, one.lasting) for one in refused] == [(path, True)]


def fresh(sample: Sample, store: TensorStore, making: Encoder, kept: frozenset[str] = frozenset()) -> FreshEachEpoch:
    """Return a reader that moves one frame on in each epoch, and stands still from the third to the fourth."""

    def place(epoch: int) -> Placement:
        start = (0, 1, 2, 2, 4)[epoch]
        return whole_picture(range(start, start + 5))

    (entry,) = entries_in(store, [replace(sample, placement=place(0))])
    return FreshEachEpoch(entry, making, place, lambda placed: key_of(replace(sample, placement=placed)), kept)


def test_each_epoch_has_its_own_part_and_only_the_newest_is_kept(samples, tmp_path) -> None:
    store, family = TensorStore(tmp_path / "fresh"), Light()
    reader = fresh(samples[0], store, encoder(family))
    for epoch, start in enumerate((0, 1, 2, 2, 4)):
        (expected,) = entries_in(
            TensorStore(tmp_path / f"alone-{epoch}"),
            [replace(samples[0], placement=whole_picture(range(start, start + 5)))],
        )
        wanted = OnDemand(expected, encoder(Light())).read(0)
        for _ in range(2):
            assert torch.equal(reader.read(epoch), wanted)
        assert [Path(name).name.split(".")[0] for name in files_in(store)] == [expected.key]
    assert len(family.clip_sizes) == 4


def test_an_entry_that_others_need_too_stays(samples, tmp_path) -> None:
    store = TensorStore(tmp_path)
    reader = fresh(samples[0], store, encoder(Light()))
    reader = replace(reader, kept=frozenset([reader.entry.key]))
    for epoch in range(3):
        reader.read(epoch)
    assert store.holds(reader.entry.key)
    assert len(files_in(store)) == 2
