"""Half a model is refused before anything is loaded, file by file and tensor by tensor."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.tiny import open_tiny
from reeltune.errors import ModelError
from reeltune.families.sources import Source
from reeltune.families.wan.family import Wan
from reeltune.families.weight_files import read_header
from reeltune.families.weights import weights_folder

CPU = torch.device("cpu")
INDEX = "diffusion_pytorch_model.safetensors.index.json"


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be spoilt."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def sharded(model: Path) -> Path:
    """A copy whose transformer lies in several files, as that of a large model does."""
    transformer = WanTransformer3DModel.from_pretrained(model / "transformer")
    shutil.rmtree(model / "transformer")
    transformer.save_pretrained(model / "transformer", max_shard_size="1MB")
    assert len(shards(model)) >= 3
    return model


def shards(model: Path) -> list[Path]:
    return sorted((model / "transformer").glob("*.safetensors"))


def refusal(model: Path) -> str:
    """Return what a model is refused with. Opening loads nothing, so the refusal comes before any work."""
    with pytest.raises(ModelError) as caught:
        open_tiny(model, torch.float32)
    return str(caught.value)


def test_a_shard_that_is_missing_is_named(sharded: Path) -> None:
    gone = shards(sharded)[1]
    gone.unlink()
    message = refusal(sharded)
    assert f"{gone.name} is missing; {INDEX} names it" in message
    assert f'hf download OWNER/NAME --include "transformer/*" --local-dir {sharded} --force-download' in message


def test_a_link_whose_target_is_gone_is_a_missing_shard(sharded: Path) -> None:
    gone = shards(sharded)[-1]
    gone.unlink()
    gone.symlink_to(sharded / "blobs/abc")
    assert f"{gone.name} is missing" in refusal(sharded)


def test_shards_without_their_index_are_refused(sharded: Path) -> None:
    (sharded / "transformer" / INDEX).unlink()
    assert f"{INDEX} is missing" in refusal(sharded)


def test_an_index_that_cannot_be_read_is_refused(sharded: Path) -> None:
    (sharded / "transformer" / INDEX).write_text('{"weight_map": ')
    assert f"{INDEX} cannot be read" in refusal(sharded)


def test_every_problem_is_named_at_once(sharded: Path) -> None:
    first, second, *_ = shards(sharded)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    message = refusal(sharded)
    assert "2 problems" in message
    assert first.name in message
    assert second.name in message


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-1], "is cut short"),
        (lambda data: data[: len(data) // 2], "is cut short"),
        (lambda data: data[:100], "is cut short"),
        (lambda data: data[:5], "is cut short"),
        (lambda data: b"", "is empty"),
        (lambda data: data + b"x", "is damaged"),
        (lambda data: data[:8] + b"x" + data[9:], "has a damaged header"),
        (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "is a git-lfs pointer"),
        (lambda data: b"<!doctype html>" * 50, "is no safetensors file, but a web page"),
    ],
)
@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_a_file_that_is_not_whole_is_named(
    model: Path, component: str, spoil: Callable[[bytes], bytes], words: str
) -> None:
    (file,) = (model / component).glob("*.safetensors")
    file.write_bytes(spoil(file.read_bytes()))
    message = refusal(model)
    assert f"{file.name} {words}" in message or f"{file.name} is cut short, at" in message, message
    assert words in message
    assert f'--include "{component}/*"' in message


@pytest.mark.parametrize(
    ("component", "name"),
    [
        ("transformer", "blocks.3.attn1.to_q.weight"),
        ("vae", "decoder.conv_out.bias"),
        ("text_encoder", "encoder.final_layer_norm.weight"),
        ("text_encoder", "shared.weight"),
    ],
)
def test_a_tensor_that_is_in_no_file_is_named(model: Path, component: str, name: str) -> None:
    (file,) = (model / component).glob("*.safetensors")
    tensors = load_file(file)
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    assert f"{name} is in none of the files" in refusal(model)


def test_a_tensor_that_only_the_index_knows_is_missing(sharded: Path) -> None:
    file = shards(sharded)[0]
    tensors = load_file(file)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    assert name in json.loads((sharded / "transformer" / INDEX).read_text())["weight_map"]
    assert f"{name} is in none of the files" in refusal(sharded)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(model: Path) -> None:
    path = model / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_dim": 48}))
    message = refusal(model)
    assert "does not fit its config.json" in message
    assert "text_embedder.linear_1.weight has shape [64, 32] instead of [64, 48]" in message


def test_many_missing_tensors_are_counted_not_listed(model: Path) -> None:
    path = model / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": 14}))
    message = refusal(model)
    assert "more of this kind" in message
    assert len(message.splitlines()) < 8


def test_a_configuration_of_no_model_is_refused(model: Path) -> None:
    path = model / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": "many"}))
    assert "config.json describes no model" in refusal(model)


def test_tied_weights_are_needed_under_one_name_only(model: Path) -> None:
    file = model / "text_encoder/model.safetensors"
    tensors = load_file(file)
    tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    save_file(tensors, file, metadata={"format": "pt"})
    with open_tiny(model, torch.float32).text_encoder(CPU) as encode:
        (under_the_other_name,) = encode(["a circle"])
    tensors["shared.weight"] = tensors.pop("encoder.embed_tokens.weight")
    save_file(tensors, file, metadata={"format": "pt"})
    with open_tiny(model, torch.float32).text_encoder(CPU) as encode:
        assert torch.equal(encode(["a circle"])[0], under_the_other_name)


def test_what_the_libraries_refuse_is_told_with_the_folder(model: Path) -> None:
    wan = open_tiny(model, torch.float32)
    for component in ("transformer", "vae", "text_encoder"):
        (file,) = (model / component).glob("*.safetensors")
        file.unlink()  # after the check, as when a disk is taken away
    opened: tuple[Callable[[Wan], object], ...] = (
        lambda wan: wan.load_transformer(CPU),
        lambda wan: wan.video_encoder(CPU).__enter__(),
        lambda wan: wan.text_encoder(CPU).__enter__(),
    )
    for part, open_part in zip(("transformer", "vae", "text_encoder"), opened, strict=True):
        with pytest.raises(ModelError, match=f"model/{part} cannot be loaded"):
            open_part(wan)


def test_a_tokenizer_that_cannot_be_read_is_named(model: Path) -> None:
    (model / "tokenizer/tokenizer.json").write_text("{")
    with (
        pytest.raises(ModelError, match="model/tokenizer cannot be loaded as the tokenizer"),
        open_tiny(model, torch.float32).text_encoder(CPU),
    ):
        pass


def test_a_tokenizer_without_its_vocabulary_is_refused(model: Path) -> None:
    (model / "tokenizer/tokenizer.json").unlink()
    assert "tokenizer holds neither tokenizer.json nor spiece.model" in refusal(model)


def test_looking_at_weights_reads_headers_only(tmp_path: Path) -> None:
    # Three gigabytes of holes take no room on the disk, and would take seconds to read.
    (tmp_path / "part").mkdir()
    (tmp_path / "part/config.json").write_text("{}")
    numbers = 3 * 2**28
    header = json.dumps({"weight": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}).encode()
    file = tmp_path / "part/model.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + 4 * numbers)

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(numbers))

    assert weights_folder(Source("part", str(tmp_path), ("part",)), lambda config: Part()) == tmp_path / "part"
    assert read_header(file).shapes == {"weight": (numbers,)}
