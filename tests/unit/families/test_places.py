"""Where the parts of a custom model are found: its own folders, at the top of a place, in a variant, in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import WanTransformer3DModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from reeltune.config.model import ModelOptions
from reeltune.contracts.dimensions import Dimensions
from reeltune.errors import ModelError
from reeltune.families import check_family, family_dimensions, family_locations
from reeltune.families.opening import Opening, check_weights
from reeltune.families.wan.family import Wan, open_model
from reeltune.families.wan.variants import LARGE, SMALL
from reeltune.families.weight_files import variant_of

CPU = torch.device("cpu")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def opened(model: Path, **changes: Any) -> Wan:
    options = ModelOptions(pretrained_model_name_or_path=str(model), **changes)
    check_family(options)
    check_weights(options)
    return open_model(options, Opening(torch.float32))


@pytest.fixture
def tuned(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder that holds nothing but another transformer."""
    folder = shutil.copytree(tiny_model / "transformer", tmp_path / "tuned")
    tensors = load_file(folder / WEIGHTS)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def bias_of(wan: Wan) -> torch.Tensor:
    return wan.load_transformer(CPU).state_dict()["proj_out.bias"]


@pytest.mark.parametrize("subfolder", ["none", "None", "transformer"])
def test_a_transformer_may_lie_at_the_top_of_its_folder(tiny_model: Path, tuned: Path, subfolder: str) -> None:
    wan = opened(
        tiny_model,
        pretrained_transformer_model_name_or_path=str(tuned),
        pretrained_transformer_subfolder=subfolder,
    )
    stock = WanTransformer3DModel.from_pretrained(tuned)
    assert torch.equal(bias_of(wan), stock.proj_out.bias)
    assert not torch.equal(bias_of(wan), bias_of(opened(tiny_model)))


def test_a_transformer_may_lie_in_a_folder_of_another_name(tiny_model: Path, tuned: Path) -> None:
    wan = opened(
        tiny_model,
        pretrained_transformer_model_name_or_path=str(tuned.parent),
        pretrained_transformer_subfolder=tuned.name,
    )
    assert wan.parts.transformer == tuned


def test_a_subfolder_that_is_not_there_is_named(tiny_model: Path, tuned: Path) -> None:
    with pytest.raises(ModelError, match="has no folder 'elsewhere' for the transformer"):
        opened(
            tiny_model,
            pretrained_transformer_model_name_or_path=str(tuned),
            pretrained_transformer_subfolder="elsewhere",
        )


@pytest.mark.parametrize("inside", ["", "vae"])
def test_an_autoencoder_has_a_place_of_its_own(tiny_model: Path, tmp_path: Path, inside: str) -> None:
    place = tmp_path / "other"
    shutil.copytree(tiny_model / "vae", place / inside)
    wan = opened(tiny_model, pretrained_vae_model_name_or_path=str(place))
    assert wan.parts.vae == place / inside
    assert wan.video_fingerprint() == opened(tiny_model).video_fingerprint()


def test_the_text_encoder_and_its_tokenizer_have_a_place_of_their_own(tiny_model: Path, tmp_path: Path) -> None:
    for part in ("text_encoder", "tokenizer"):
        shutil.copytree(tiny_model / part, tmp_path / part)
    wan = opened(tiny_model, pretrained_t5_model_name_or_path=str(tmp_path))
    assert (wan.parts.text_encoder, wan.parts.tokenizer) == (tmp_path / "text_encoder", tmp_path / "tokenizer")
    assert wan.parts.scheduler == tiny_model / "scheduler"


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("model.safetensors", None),
        ("model-00001-of-00002.safetensors", None),
        ("model.safetensors.index.json", None),
        ("diffusion_pytorch_model.fp16.safetensors", "fp16"),
        ("diffusion_pytorch_model.fp16-00001-of-00002.safetensors", "fp16"),
        ("diffusion_pytorch_model-00001-of-00002.fp16.safetensors", "fp16"),
        ("diffusion_pytorch_model.safetensors.index.fp16.json", "fp16"),
        ("my.own-name.safetensors", None),
    ],
)
def test_the_variant_of_a_file_is_in_its_name(name: str, variant: str | None) -> None:
    assert variant_of(name) == variant


@pytest.mark.parametrize("shard_size", ["1MB", "1GB"])
def test_a_variant_is_taken_where_it_is_and_left_where_it_is_not_wanted(
    tiny_model: Path, tmp_path: Path, shard_size: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    half = WanTransformer3DModel.from_pretrained(model / "transformer", torch_dtype=torch.float16)
    half.save_pretrained(model / "transformer", variant="fp16", max_shard_size=shard_size)
    stock = WanTransformer3DModel.from_pretrained(model / "transformer", variant="fp16")
    for variant, expected in (("fp16", stock.proj_out.weight.float()), (None, None)):
        wan = opened(model, variant=variant)
        weight = wan.load_transformer(CPU).state_dict()["proj_out.weight"]
        original = load_file(tiny_model / "transformer" / WEIGHTS)["proj_out.weight"]
        assert torch.equal(weight, original if expected is None else expected)
        # The autoencoder has no such variant, and is what it always is.
        assert wan.video_fingerprint() == opened(tiny_model).video_fingerprint()


def test_a_variant_that_the_transformer_does_not_have_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="no weights of variant fp16"):
        opened(tiny_model, variant="fp16")


def test_a_folder_with_a_variant_alone_says_so(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    file = model / "transformer" / WEIGHTS
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(ModelError, match="holds weights of variant fp16 only"):
        opened(model)


def test_a_revision_is_asked_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(source: str, *, allow_patterns: list[str], revision: str | None) -> str:
        asked.append((source, revision))
        raise OSError("enough")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ModelError):
        check_weights(ModelOptions(pretrained_model_name_or_path="someone/model", revision="v2"))
    assert asked == [("someone/model", "v2")]


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of someone/model's newest snapshot in a hub cache, with nothing in it yet."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def states(place: str) -> dict[str, str]:
    options = ModelOptions(pretrained_model_name_or_path=place)
    return {location.component: location.state for location in family_locations(options)}


def test_the_plan_tells_what_is_here_and_what_will_be_fetched(tiny_model: Path, snapshot: Path) -> None:
    assert set(states(str(tiny_model)).values()) == {"folder"}
    assert set(states("someone/model").values()) == {"hub"}
    shutil.copytree(tiny_model / "transformer", snapshot / "transformer")
    shutil.copytree(tiny_model / "scheduler", snapshot / "scheduler")
    assert states("someone/model") == {
        "transformer": "cache",
        "scheduler": "cache",
        "autoencoder": "hub",
        "text encoder": "hub",
        "tokenizer": "hub",
    }
    # What a look at the configuration leaves behind, and a download that broke off.
    (snapshot / "transformer" / WEIGHTS).unlink()
    assert states("someone/model")["transformer"] == "hub"
    shards = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (snapshot / "transformer" / f"{WEIGHTS}.index.json").write_text(json.dumps(shards))
    (snapshot / "transformer/one.safetensors").touch()
    assert states("someone/model")["transformer"] == "hub"


def test_the_size_is_that_of_the_configuration_or_of_the_release(tiny_model: Path, snapshot: Path) -> None:
    def size(place: str) -> Dimensions | None:
        return family_dimensions(ModelOptions(pretrained_model_name_or_path=place))

    tiny = Dimensions(layers=12, heads=4, head_width=16, ffn=128, text_width=32)
    assert size(str(tiny_model)) == tiny
    assert size("someone/model") is None
    shutil.copytree(tiny_model / "transformer", snapshot / "transformer")
    assert size("someone/model") == tiny
    assert size("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") == SMALL
    assert size("Wan-AI/Wan2.1-T2V-14B-Diffusers") == LARGE


REFUSAL = """
import sys
from reeltune.config.model import ModelOptions
from reeltune.errors import ModelError
from reeltune.families import check_family
try:
    check_family(ModelOptions(pretrained_model_name_or_path=sys.argv[1]))
except ModelError as error:
    print(error, {"torch", "diffusers"} & sys.modules.keys())
"""


def test_an_image_to_video_folder_is_refused_without_torch(tmp_path: Path) -> None:
    for part, name in {"transformer": "config", "vae": "config", "text_encoder": "config"}.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{name}.json").write_text("{}")
    for part, name in {"tokenizer": "tokenizer_config", "scheduler": "scheduler_config"}.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{name}.json").write_text("{}")
    config = {"_class_name": "WanTransformer3DModel", "in_channels": 36, "image_dim": 1280}
    (tmp_path / "transformer/config.json").write_text(json.dumps(config))
    outcome = subprocess.run([sys.executable, "-c", REFUSAL, str(tmp_path)], text=True, capture_output=True, check=True)
    assert "is an image-to-video model" in outcome.stdout
    assert outcome.stdout.strip().endswith("set()")


@pytest.mark.parametrize("place", ["no/such/model", "nowhere"])
def test_a_place_that_is_nothing_is_told_without_the_network(place: str) -> None:
    with pytest.raises(ModelError, match="neither a folder nor a hub repository"):
        check_family(ModelOptions(pretrained_model_name_or_path=place))
