"""Custom weights, in every layout and number type: what comes out is, bit for bit, what the diffusers folder gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.checkpoints import LAYOUTS, Layout, original, original_vae, rounded, write_checkpoint
from helpers.tiny import random_batch
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Noised
from reeltune.demo.model import make_transformer
from reeltune.families import check_family
from reeltune.families.opening import Opening, check_weights
from reeltune.families.wan.family import Wan, open_model

CPU = torch.device("cpu")
WEIGHTS = "diffusion_pytorch_model.safetensors"
STORAGE = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8": torch.float8_e4m3fn,
    "fp8 with more range": torch.float8_e5m2,
}


@pytest.fixture(scope="module")
def base(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a transformer of two blocks, and an autoencoder with as many layers as the real one."""
    folder = tmp_path_factory.mktemp("custom") / "base"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("transformer", "vae"))
    torch.manual_seed(1)
    make_transformer(2).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=4, num_res_blocks=2).save_pretrained(folder / "vae")
    return folder


def opened(base: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Wan:
    options = ModelOptions(pretrained_model_name_or_path=str(base), **changes)
    check_family(options)
    check_weights(options)
    return open_model(options, Opening(dtype))


def with_transformer(base: Path, place: Path, dtype: torch.dtype = torch.float32, subfolder: str = "none") -> Wan:
    own = {"pretrained_transformer_model_name_or_path": str(place), "pretrained_transformer_subfolder": subfolder}
    return opened(base, dtype, **own)


@torch.no_grad()
def answer(wan: Wan) -> Tensor:
    """Return what the transformer predicts for fixed noise."""
    batch = random_batch(size=1)
    return wan.predict(wan.load_transformer(CPU), Noised(batch.latents, torch.tensor([0.6]), batch.latents), batch)


def tuned(seed: int = 2) -> WanTransformer3DModel:
    """Return a transformer of the base's size with other values in every tensor, zeros and ones included."""
    torch.manual_seed(seed)
    transformer = make_transformer(2)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return transformer


def in_a_folder(folder: Path, tensors: Mapping[str, Tensor], **saving: Any) -> Path:
    """Write a transformer in the diffusers layout."""
    transformer = tuned()
    transformer.load_state_dict(dict(tensors))
    transformer.save_pretrained(folder, **saving)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_single_file_answers_as_the_folder_does(base: Path, tmp_path: Path, layout: str) -> None:
    tensors = tuned().state_dict()
    file = write_checkpoint(tmp_path / "tuned.safetensors", tensors, LAYOUTS[layout])
    folder = in_a_folder(tmp_path / "folder", tensors)
    for dtype in (torch.float32, torch.bfloat16):
        expected = answer(with_transformer(base, folder, dtype))
        assert torch.equal(answer(with_transformer(base, file, dtype)), expected)
    assert not torch.equal(answer(opened(base)), answer(with_transformer(base, folder)))


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("layout", ["diffusers", "original", "comfyui"])
def test_every_number_type_is_read_as_the_values_that_it_holds(
    base: Path, tmp_path: Path, storage: str, layout: str
) -> None:
    dtype, tensors = STORAGE[storage], tuned().state_dict()
    file = write_checkpoint(tmp_path / "tuned.safetensors", tensors, LAYOUTS[layout], dtype=dtype)
    folder = in_a_folder(tmp_path / "folder", rounded(tensors, dtype))
    assert torch.equal(answer(with_transformer(base, file)), answer(with_transformer(base, folder)))
    # Rounded values are other values, except where nothing is rounded.
    assert torch.equal(rounded(tensors, dtype)["proj_out.weight"], tensors["proj_out.weight"]) == (storage == "float32")


def test_what_eight_bits_can_hold_is_the_same_from_eight_bits(base: Path, tmp_path: Path) -> None:
    exact = rounded(tuned().state_dict(), torch.float8_e4m3fn)
    folder = in_a_folder(tmp_path / "folder", exact)
    file = write_checkpoint(tmp_path / "eight.safetensors", exact, original, dtype=torch.float8_e4m3fn)
    assert file.stat().st_size < 0.3 * (folder / WEIGHTS).stat().st_size
    in_eight = shutil.copytree(folder, tmp_path / "folder in eight")
    write_checkpoint(in_eight / WEIGHTS, exact, str, dtype=torch.float8_e4m3fn)
    for dtype in (torch.float32, torch.bfloat16):
        expected = answer(with_transformer(base, folder, dtype))
        assert torch.equal(answer(with_transformer(base, file, dtype)), expected)
        assert torch.equal(answer(with_transformer(base, in_eight, dtype)), expected)


@pytest.mark.parametrize("layout", ["original", "comfyui, whole"])
def test_diffusers_own_reader_of_single_files_agrees(base: Path, tmp_path: Path, layout: str) -> None:
    file = write_checkpoint(tmp_path / "tuned.safetensors", tuned().state_dict(), LAYOUTS[layout])
    stock = WanTransformer3DModel.from_single_file(str(file), config=str(base), subfolder="transformer")
    own = with_transformer(base, file).load_transformer(CPU).state_dict()
    assert own.keys() == stock.state_dict().keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in stock.state_dict().items())


def test_the_places_of_a_folder_and_its_shards_give_the_same(base: Path, tmp_path: Path) -> None:
    tensors = tuned().state_dict()
    expected = answer(with_transformer(base, in_a_folder(tmp_path / "plain", tensors)))
    sharded = in_a_folder(tmp_path / "model/transformer", tensors, max_shard_size="100KB")
    assert len(list(sharded.glob("*-of-*.safetensors"))) > 2
    assert (sharded / f"{WEIGHTS}.index.json").is_file()
    shutil.copytree(sharded, tmp_path / "model/other")
    places = ((tmp_path / "model", "transformer"), (tmp_path / "model", "other"))
    tops = ((sharded, "none"), (sharded, "NONE"), (sharded, "None"), (sharded, "transformer"))
    for place, subfolder in (*places, *tops):
        assert torch.equal(answer(with_transformer(base, place, subfolder=subfolder)), expected), (place, subfolder)


VAE_LAYOUTS: dict[str, Layout] = {
    "diffusers": str,
    "original": original_vae,
    "inside a checkpoint of everything": lambda name: f"vae.{original_vae(name)}",
}


@torch.no_grad()
def through_the_vae(wan: Wan) -> tuple[Tensor, Tensor]:
    """Return a short clip as latents, and those latents as a clip."""
    torch.manual_seed(3)
    frames = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with wan.video_encoder(CPU) as encode, wan.video_decoder(CPU) as decode:
        latents = encode(frames)
        return latents, torch.from_numpy(decode(latents[0]))


@pytest.fixture(scope="module")
def other_vae() -> AutoencoderKLWan:
    """An autoencoder of the base's architecture with other values."""
    torch.manual_seed(4)
    return AutoencoderKLWan(base_dim=4, num_res_blocks=2)


@pytest.mark.parametrize(("layout", "storage"), list(zip(VAE_LAYOUTS, ("fp16", "float32", "bf16"), strict=True)))
def test_an_autoencoder_in_a_file_encodes_and_decodes_as_its_folder(
    base: Path, tmp_path: Path, other_vae: AutoencoderKLWan, layout: str, storage: str
) -> None:
    tensors = rounded(other_vae.state_dict(), STORAGE[storage])
    file = write_checkpoint(tmp_path / "vae.safetensors", tensors, VAE_LAYOUTS[layout], dtype=STORAGE[storage])
    shutil.copytree(base / "vae", tmp_path / "pipeline/vae")
    save_file(tensors, tmp_path / "pipeline/vae" / WEIGHTS, metadata={"format": "pt"})
    from_file, from_folder = (
        through_the_vae(opened(base, pretrained_vae_model_name_or_path=str(place)))
        for place in (file, tmp_path / "pipeline")
    )
    assert all(torch.equal(*pair) for pair in zip(from_file, from_folder, strict=True))
    assert not torch.equal(
        load_file(base / "vae" / WEIGHTS)["encoder.conv_in.weight"], tensors["encoder.conv_in.weight"]
    )


def test_the_names_of_an_original_autoencoder_are_those_that_diffusers_reads(
    base: Path, tmp_path: Path, other_vae: AutoencoderKLWan
) -> None:
    file = write_checkpoint(tmp_path / "vae.safetensors", other_vae.state_dict(), original_vae)
    stock = AutoencoderKLWan.from_single_file(str(file), config=str(base / "vae"))
    assert stock.state_dict().keys() == other_vae.state_dict().keys()
    assert all(torch.equal(tensor, other_vae.state_dict()[name]) for name, tensor in stock.state_dict().items())
    assert len(load_file(file).keys() & {"conv1.weight", "encoder.middle.1.to_qkv.bias", "decoder.head.2.bias"}) == 3


def test_another_autoencoder_makes_other_cache_keys(base: Path, tmp_path: Path, other_vae: AutoencoderKLWan) -> None:
    def keys_by(place: Path, base: Path = base) -> str:
        return opened(base, pretrained_vae_model_name_or_path=str(place)).video_fingerprint()

    one = write_checkpoint(tmp_path / "one.safetensors", other_vae.state_dict(), original_vae)
    spoilt = {name: tensor + 1e-3 for name, tensor in other_vae.state_dict().items()}
    two = write_checkpoint(tmp_path / "two.safetensors", spoilt, original_vae)
    elsewhere = Path(shutil.copy(one, tmp_path / "moved.safetensors"))
    assert len({keys_by(one), keys_by(two), keys_by(base)}) == 3
    assert keys_by(elsewhere) == keys_by(one)
    # The statistics of the latents are not in the file, and change what is stored as well.
    normalised = shutil.copytree(base, tmp_path / "normalised")
    config = json.loads((normalised / "vae/config.json").read_text())
    config["latents_mean"][0] += 1
    (normalised / "vae/config.json").write_text(json.dumps(config))
    assert keys_by(one, normalised) != keys_by(one)
