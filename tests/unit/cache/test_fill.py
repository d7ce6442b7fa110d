"""Filling a cache: what is missing is encoded, together where asked, and nothing that breaks ends it."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.clips import whole_picture
from helpers.light import CPU, Light, entries_in, files_in, pooled, sample_of, track, write_clips
from reeltune.cache import fill
from reeltune.cache.check import Usable, check_entries
from reeltune.cache.fill import fill_latents, fill_text
from reeltune.cache.latents import LatentEntry
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Sample
from reeltune.data.decode import decode, to_model_range
from reeltune.errors import ShortageError


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return write_clips(tmp_path_factory.mktemp("clips"), 6)


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    return TensorStore(tmp_path / "cache")


def filled(entries: list[LatentEntry], family: Light) -> set[str]:
    return set(fill_latents(entries, family=family, device=CPU, track=track))


def test_each_entry_is_what_its_own_frames_encode_to(samples, store) -> None:
    entries = entries_in(store, samples)
    assert filled(entries, Light()) == set()
    for entry in entries:
        frames = to_model_range(decode(entry.sample.file.path, entry.sample.placement))
        assert torch.equal(store.read(entry.key), pooled(frames[None])[0])


def test_only_what_is_missing_is_encoded_and_without_any_no_encoder_is_opened(samples, store) -> None:
    family, entries = Light(), entries_in(store, samples)
    filled(entries[:4], family)
    filled(entries + entries, family)
    assert (family.clip_sizes, family.opened) == ([1] * 6, ["video", "video"])
    filled(entries, family)
    assert family.opened == ["video", "video"]


def test_clips_of_one_shape_are_encoded_together(samples, store) -> None:
    family = Light()
    other = [replace(sample, placement=whole_picture((0, 1, 2, 3, 4, 5, 6, 7, 8))) for sample in samples[:3]]
    mixed = [one for pair in zip(samples, [*other, *samples[:3]], strict=True) for one in pair]
    filled(entries_in(store, mixed, batch_size=4), family)
    # Six of five frames, three of nine: in groups of four, none mixed.
    assert sorted(family.clip_sizes) == [2, 3, 4]
    alone = TensorStore(store.folder.parent / "alone")
    filled(entries_in(alone, mixed), Light())
    assert files_in(alone) == files_in(store), "means of pixels do not depend on their neighbours"


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_a_batch_is_halved_when_memory_runs_out_and_that_is_said_once(samples, store, caplog, kind) -> None:
    family = Light(room=1, memory_error=kind)
    entries = entries_in(store, samples, batch_size=3)
    assert filled(entries, family) == set()
    assert all(entry.has_file() for entry in entries)
    # Three do not fit, and one at a time does, here and in every later batch.
    assert family.clip_sizes == [3, 1, 1, 1, 1, 1, 1]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == "memory is not enough for 3 clips of 160x96x5 at once: 1 from here on"


def test_without_memory_for_one_clip_the_error_says_what_helps(samples, store) -> None:
    with pytest.raises(ShortageError, match=r"one of the clips: CUDA out of memory.*vae_enable_tiling=true"):
        filled(entries_in(store, samples), Light(room=0))


def test_another_error_of_the_encoder_is_not_taken_for_a_lack_of_memory(samples, store) -> None:
    family = Light()
    family._take = lambda count: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        filled(entries_in(store, samples, batch_size=2), family)


def test_a_clip_that_breaks_is_left_out_with_its_reason_and_the_rest_is_encoded(samples, store, tmp_path) -> None:
    broken = tmp_path / "broken.mp4"
    whole = samples[0].file.path.read_bytes()
    broken.write_bytes(whole)
    sample = sample_of(broken)
    broken.write_bytes(whole[: len(whole) // 2])
    os.utime(broken, ns=(sample.file.mtime_ns, sample.file.mtime_ns))
    cut = replace(sample, file=replace(sample.file, size_bytes=broken.stat().st_size))
    entries = entries_in(store, [*samples[:3], cut, *samples[3:]], batch_size=2)
    refused = fill_latents(entries, family=Light(), device=CPU, track=track)
    assert list(refused) == [str(broken)]
    assert refused[str(broken)].lasting
    assert len(files_in(store)) == 6


def test_a_file_that_changes_after_it_was_listed_is_never_stored_under_the_old_name(samples, store, tmp_path) -> None:
    path = tmp_path / "growing.mp4"
    path.write_bytes(samples[0].file.path.read_bytes())
    entries = entries_in(store, [sample_of(path)])
    path.write_bytes(samples[1].file.path.read_bytes())
    refused = fill_latents(entries, family=Light(), device=CPU, track=track)
    assert refused[str(path)].reason.startswith("changed while it was read")
    assert not refused[str(path)].lasting
    assert files_in(store) == {}


def test_values_that_are_not_finite_are_not_stored(samples, store, monkeypatch) -> None:
    monkeypatch.setattr("helpers.light.pooled", lambda frames: pooled(frames) * float("nan"))
    assert filled(entries_in(store, samples[:2]), Light()) == {str(one.file.path) for one in samples[:2]}
    assert files_in(store) == {}


def test_a_full_disk_ends_the_fill_and_what_is_encoded_is_kept(samples, store, monkeypatch) -> None:
    real, written = Path.write_bytes, []

    def write_bytes(self: Path, data: bytes) -> int:
        if len(written) == 2:
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(self)
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(ShortageError, match="No space left on device"):
            filled(entries_in(store, samples), Light())
    assert len(files_in(store)) == 2
    assert not list(store.folder.rglob(".*"))
    family = Light()
    assert filled(entries_in(store, samples), family) == set()
    assert family.clip_sizes == [1] * 4


def test_ctrl_c_leaves_whole_entries_only_and_no_thread(samples, store) -> None:
    family = Light()
    family._take = lambda count: _interrupt() if len(family.clip_sizes) == 3 else None
    with pytest.raises(KeyboardInterrupt):
        filled(entries_in(store, samples), family)
    assert len(files_in(store)) == 2
    assert all(store.holds(Path(name).name.split(".")[0]) for name in files_in(store))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))]


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_what_another_process_encodes_meanwhile_is_not_encoded_again(samples, store) -> None:
    entries, family = entries_in(store, samples), Light()

    def meanwhile(count: int) -> None:
        if len(family.clip_sizes) == 1:
            filled(entries, Light())

    family._take = meanwhile
    filled(entries, family)
    assert family.clip_sizes == [1]


def test_decoding_and_writing_go_on_while_the_encoder_works(samples, store, monkeypatch) -> None:
    """Three steps of the same length take the time of one step per clip, not of three."""
    step_s, real_decode = 0.05, fill.pixels_of

    def slow_pixels(entry: LatentEntry):
        time.sleep(step_s)
        return real_decode(entry)

    real_write = TensorStore.write

    def slow_write(self: TensorStore, key: str, tensor: torch.Tensor) -> None:
        time.sleep(step_s)
        real_write(self, key, tensor)

    monkeypatch.setattr(fill, "pixels_of", slow_pixels)
    monkeypatch.setattr(TensorStore, "write", slow_write)
    family = Light()
    family._take = lambda count: time.sleep(step_s)
    started = time.monotonic()
    filled(entries_in(store, samples), family)
    # One after the other: 18 steps. Overlapped: 6, and one before the first and one after the last.
    assert time.monotonic() - started < 14 * step_s


def test_a_damaged_entry_alone_is_encoded_again(samples, store, caplog) -> None:
    entries = entries_in(store, samples)
    filled(entries, Light())
    before = files_in(store)
    damaged = store.path(entries[2].key)
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    places = [(entry.store, entry.key) for entry in entries]
    assert check_entries(places, track=track, title="", unit="") == Usable(reused=5, encoded=1, damaged=1)
    assert f"{damaged} is damaged and will be encoded again" in caplog.text
    family = Light()
    filled(entries, family)
    assert family.clip_sizes == [1]
    assert files_in(store) == before


def test_captions_are_encoded_in_batches_that_shrink_when_memory_runs_out(tmp_path) -> None:
    keys = {f"caption {number}" * number: f"{number:032x}" for number in range(5)}
    sizes = {}
    for batch_size, room in ((1, 9), (3, 9), (3, 2)):
        family, store = Light(room=room), TensorStore(tmp_path / f"{batch_size}-{room}")
        fill_text(keys, store, family=family, device=CPU, track=track, batch_size=batch_size)
        assert [len(store.read(key)) for key in keys.values()] == [len(prompt) + 1 for prompt in keys]
        sizes[batch_size, room] = sorted(family.text_sizes)
    assert sizes[1, 9] == [1] * 5
    assert sizes[3, 9] == [2, 3]
    # The three are tried once and then come one at a time; the two come together only where they came before.
    assert sizes[3, 2] in ([1, 1, 1, 2, 3], [1, 1, 1, 1, 1, 3])
