"""Loading: in memory once, from files as the real repository has them, and named by content without reading it all."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open
from transformers import UMT5EncoderModel

from helpers.tiny import open_tiny
from reeltune.families.fingerprint import fingerprint

CPU = torch.device("cpu")
MB = 10**6
PROBE = """
import sys, torch
from pathlib import Path
from reeltune.families.opening import Opening
from reeltune.families.wan.family import Wan
from reeltune.families.wan.parts import WanParts

def peak_kb():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))

folder = Path(sys.argv[1])
wan = Wan(WanParts(folder, folder, folder, folder, folder), Opening(torch.bfloat16))
before = peak_kb()
transformer = wan.load_transformer(torch.device("cpu"))
print(1024 * (peak_kb() - before), sum(p.numel() * p.element_size() for p in transformer.parameters()))
"""


@pytest.fixture
def large_transformer(tmp_path: Path) -> Path:
    """A float32 transformer of 338 MB in files of up to 100 MB."""
    transformer = WanTransformer3DModel(
        num_attention_heads=16, attention_head_dim=64, ffn_dim=8192, num_layers=3, text_dim=64
    )
    transformer.save_pretrained(tmp_path / "transformer", max_shard_size="100MB")
    return tmp_path / "transformer"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_loading_holds_what_stays_and_one_tensor_and_no_second_copy(large_transformer: Path) -> None:
    sizes = [file.stat().st_size for file in large_transformer.glob("*.safetensors")]
    assert len(sizes) == 4
    outcome = subprocess.run(
        [sys.executable, "-c", PROBE, str(large_transformer)], check=True, text=True, capture_output=True
    )
    grown, kept = map(int, outcome.stdout.split())
    # What stays is bfloat16, about half the files. 60 MB: one float32 tensor of 33 MB that is mapped while it is cast,
    # and the allocator. The pages of a whole file would be 100 MB, a float32 copy 338 MB.
    assert kept < 0.55 * sum(sizes)
    assert kept < grown < kept + 60 * MB, f"{grown / MB:.0f} MB"


def test_files_as_the_real_repository_has_them_load_like_the_stock_model(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    _in_shards(WanTransformer3DModel.from_pretrained(model / "transformer"), model / "transformer")
    _in_shards(UMT5EncoderModel.from_pretrained(model / "text_encoder", dtype=torch.bfloat16), model / "text_encoder")
    assert (model / "transformer/diffusion_pytorch_model.safetensors.index.json").is_file()
    assert len(list((model / "text_encoder").glob("model-0000?-of-0000?.safetensors"))) > 1
    assert _types_in(model / "text_encoder") == {"BF16"}
    assert not (model / "tokenizer/spiece.model").exists()

    sharded, single = open_tiny(model, torch.bfloat16), open_tiny(tiny_model, torch.bfloat16)
    expected = single.load_transformer(CPU).state_dict()
    loaded = sharded.load_transformer(CPU).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert all(loaded[name].dtype == expected[name].dtype for name in expected)
    with sharded.text_encoder(CPU) as encode, single.text_encoder(CPU) as encode_single:
        assert torch.equal(encode(["a white circle"])[0], encode_single(["a white circle"])[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_transformer_is_that_of_from_pretrained(tiny_model: Path, dtype: torch.dtype) -> None:
    stock = WanTransformer3DModel.from_pretrained(tiny_model / "transformer", dtype=dtype)
    own = open_tiny(tiny_model, dtype).load_transformer(CPU)
    assert type(own) is WanTransformer3DModel
    assert not own.training
    tensors, expected = (dict([*m.named_parameters(), *m.named_buffers()]) for m in (own, stock))
    assert {n: t.dtype for n, t in tensors.items()} == {n: t.dtype for n, t in expected.items()}
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert {k: v for k, v in own.config.items() if k != "_name_or_path"} == {
        k: v for k, v in stock.config.items() if k != "_name_or_path"
    }


def _in_shards(module: WanTransformer3DModel | UMT5EncoderModel, folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.unlink()
    whole = sum(p.numel() * p.element_size() for p in module.parameters())
    module.save_pretrained(folder, max_shard_size=whole // 2)


def _types_in(folder: Path) -> set[str]:
    types = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            types |= {tensors.get_slice(name).get_dtype() for name in tensors.keys()}
    return types


class CountingFile(io.FileIO):
    """A file that adds up the bytes that are read from it."""

    total = 0

    def readinto(self, buffer) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        count = super().readinto(buffer)
        CountingFile.total += count or 0
        return count


def test_a_fingerprint_reads_a_megabyte_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 11 GB of holes: no room on the disk, and twenty seconds if it were read.
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.truncate(11 * 10**9)
    monkeypatch.setattr(Path, "open", lambda path, mode: io.BufferedReader(CountingFile(path)))
    CountingFile.total = 0
    fingerprint(tmp_path)
    # 16 samples of 64 KiB, and what the buffer reads ahead of each.
    assert 16 * 2**16 <= CountingFile.total <= 16 * (2**16 + 2**17)


def test_a_fingerprint_sees_the_ends_and_the_header_of_a_large_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    seen = set()
    for place in (None, 0, 50_000, 5 * MB - 1):
        content = bytearray(5 * MB)
        if place is not None:
            content[place] = 1
        file.write_bytes(content)
        seen.add(fingerprint(tmp_path))
    assert len(seen) == 4


def test_a_fingerprint_is_that_of_the_content_and_not_of_the_place(tiny_model: Path, tmp_path: Path) -> None:
    part = tiny_model / "text_encoder"
    shutil.copytree(part, tmp_path / "elsewhere/renamed")
    # As the hub's cache holds it: links to files with other names.
    (tmp_path / "linked").mkdir()
    for file in part.iterdir():
        (tmp_path / "linked" / file.name).symlink_to(file)
    assert fingerprint(tmp_path / "elsewhere/renamed") == fingerprint(tmp_path / "linked") == fingerprint(part)
    config = tmp_path / "elsewhere/renamed/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 1}))
    assert fingerprint(tmp_path / "elsewhere/renamed") != fingerprint(part)
