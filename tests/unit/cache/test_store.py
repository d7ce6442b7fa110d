"""Cache entries are whole, verified, and named by all that made them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import zstandard

from reeltune.cache.keys import latent_key, text_key
from reeltune.cache.store import TensorStore
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, Placement, Sample
from reeltune.errors import CacheError

PLACEMENT = Placement(
    Bucket(96, 64, 5), frame_indices=(0, 1, 2, 3, 4), resize_width=96, resize_height=66, crop_left=0, crop_top=1
)
SAMPLE = Sample(
    "set", FileRef(Path("a.mp4"), 10, 20), ClipInfo(192, 132, (0.0, 0.1, 0.2, 0.3, 0.4), 0.5), PLACEMENT, ("a",)
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_written_is_read_back_exactly(tmp_path, dtype: torch.dtype) -> None:
    store, tensor = TensorStore(tmp_path), torch.randn(3, 4).to(dtype)
    store.write("abcd", tensor)
    assert store.holds("abcd")
    assert torch.equal(store.read("abcd"), tensor)
    assert store.read("abcd").dtype == dtype


def test_every_flipped_byte_is_noticed(tmp_path) -> None:
    store = TensorStore(tmp_path)
    store.write("abcd", torch.randn(8))
    whole = store.path("abcd").read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        store.path("abcd").write_bytes(damaged)
        try:
            # A flip in the padding of the header leaves the tensor as it was.
            assert torch.equal(store.read("abcd"), _tensor_of(whole, tmp_path / "other"))
        except CacheError:
            assert not store.holds("abcd")


def _tensor_of(data: bytes, folder: Path) -> torch.Tensor:
    other = TensorStore(folder)
    other.path("abcd").parent.mkdir(parents=True, exist_ok=True)
    other.path("abcd").write_bytes(data)
    return other.read("abcd")


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_missing_or_cut_entry_is_not_held(tmp_path, content: bytes | None) -> None:
    store = TensorStore(tmp_path)
    if content is not None:
        store.path("abcd").parent.mkdir()
        store.path("abcd").write_bytes(content)
    assert not store.holds("abcd")
    with pytest.raises(CacheError, match="missing or damaged"):
        store.read("abcd")


def test_a_write_that_dies_leaves_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TensorStore(tmp_path)

    def die(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        store.write("abcd", torch.zeros(2))
    assert not store.holds("abcd")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_kinds_are_read_whatever_is_written_now(tmp_path, compress: bool, dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 4).to(dtype)
    writing, reading = TensorStore(tmp_path, compress), TensorStore(tmp_path, not compress)
    writing.write("abcd", tensor)
    assert writing.path("abcd") == reading.path("abcd")
    assert reading.has_file("abcd")
    assert reading.holds("abcd")
    assert torch.equal(reading.read("abcd"), tensor)
    assert reading.read("abcd").dtype == dtype


def test_a_compressed_entry_is_a_plain_one_in_zstd(tmp_path) -> None:
    tensor = torch.randn(40, 50)
    plain, packed = TensorStore(tmp_path / "plain"), TensorStore(tmp_path / "packed", compress=True)
    for store in (plain, packed):
        store.write("abcd", tensor)
    assert plain.path("abcd").name == "abcd.safetensors"
    assert packed.path("abcd").name == "abcd.safetensors.zst"
    assert zstandard.decompress(packed.path("abcd").read_bytes()) == plain.path("abcd").read_bytes()
    assert torch.equal(safetensors.torch.load_file(plain.path("abcd"))["tensor"], tensor)
    # What the exponents of normal numbers have in common.
    assert packed.path("abcd").stat().st_size < 0.95 * plain.path("abcd").stat().st_size


def test_an_entry_that_is_rebuilt_is_of_the_kind_that_stands_and_never_there_twice(tmp_path) -> None:
    TensorStore(tmp_path, compress=True).write("abcd", torch.zeros(2))
    TensorStore(tmp_path, compress=False).write("abcd", torch.ones(2))
    assert [path.name for path in tmp_path.rglob("abcd*")] == ["abcd.safetensors.zst"]
    assert torch.equal(TensorStore(tmp_path).read("abcd"), torch.ones(2))


@pytest.mark.parametrize("compress", [False, True])
def test_equal_entries_are_equal_files(tmp_path, compress: bool) -> None:
    tensor, stores = torch.randn(8), [TensorStore(tmp_path / name, compress) for name in "ab"]
    for store in stores:
        store.write("abcd", tensor)
    first, second = (store.path("abcd").read_bytes() for store in stores)
    assert first == second


def test_a_damaged_header_that_promises_far_too_much_is_refused_at_once(tmp_path) -> None:
    store = TensorStore(tmp_path, compress=True)
    store.write("abcd", torch.zeros(3))
    # A frame with a single segment whose content is said to be 2**62 bytes long.
    store.path("abcd").write_bytes(b"\x28\xb5\x2f\xfd\xe0" + (2**62).to_bytes(8, "little") + b"\x01\x00\x00")
    assert not store.holds("abcd")


def test_every_flipped_byte_of_a_compressed_entry_is_noticed(tmp_path) -> None:
    store, tensor = TensorStore(tmp_path, compress=True), torch.randn(8)
    store.write("abcd", tensor)
    whole = store.path("abcd").read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        store.path("abcd").write_bytes(damaged)
        try:
            # A flip in the checksum-free parts of zstd's header may leave the tensor as it was.
            assert torch.equal(store.read("abcd"), tensor)
        except CacheError:
            assert not store.holds("abcd")


@pytest.mark.parametrize("length", [0, 5, 20, -9, -1])
def test_a_cut_compressed_entry_is_not_held(tmp_path, length: int) -> None:
    store = TensorStore(tmp_path, compress=True)
    store.write("abcd", torch.randn(8))
    whole = store.path("abcd").read_bytes()
    store.path("abcd").write_bytes(whole[:length])
    assert not store.holds("abcd")
    with pytest.raises(CacheError, match="missing or damaged"):
        store.read("abcd")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"\xff" * 100,
        (4).to_bytes(8, "little") + b"null",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (20).to_bytes(8, "little") + b'{"__metadata__":null' + b"}",
        safetensors.torch.save({"other": torch.zeros(2)}),
        safetensors.torch.save({"tensor": torch.zeros(2)}),
    ],
    ids=["empty", "short", "noise", "null", "no-tensors", "list", "cut-header", "other-name", "no-checksum"],
)
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_no_entry_of_ours_is_not_held(tmp_path, content: bytes, compress: bool) -> None:
    store = TensorStore(tmp_path, compress)
    store.path("abcd").parent.mkdir()
    store.path("abcd").write_bytes(zstandard.compress(content) if compress else content)
    assert not store.holds("abcd")
    with pytest.raises(CacheError, match="damaged"):
        store.read("abcd")


def test_the_key_of_a_clip_follows_all_that_makes_its_latents() -> None:
    def key(sample: Sample = SAMPLE, content: str = "c", encoder: str = "e") -> str:
        return latent_key(sample, content=content, encoder=encoder)

    changes = [
        {"frame_indices": (0, 1, 2, 3, 5)},
        {"crop_left": 1},
        {"resize_width": 98},
        {"bucket": Bucket(96, 64, 9)},
    ]
    others = [key(replace(SAMPLE, placement=replace(PLACEMENT, **change))) for change in changes]
    others += [key(content="d"), key(encoder="f")]
    assert len({key(), *others}) == 1 + len(others)
    renamed = replace(SAMPLE, file=FileRef(Path("b.mp4"), 10, 21), captions=("other",), dataset_id="x")
    assert key(renamed) == key()


def test_the_key_of_a_caption_follows_its_words_and_the_encoder() -> None:
    assert len({text_key("a", encoder="x"), text_key("b", encoder="x"), text_key("a", encoder="y")}) == 3
