"""What is not read, or is another model, is refused in words before anything is loaded."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from helpers.checkpoints import original_vae, write_checkpoint, write_header
from helpers.model_folder import TRANSFORMER, write_json, write_model
from helpers.tiny import open_tiny
from reeltune.config.model import ModelOptions
from reeltune.errors import ModelError
from reeltune.families import check_family
from reeltune.families.formats import PICKLED, conversion
from reeltune.families.opening import Opening, check_weights
from reeltune.families.wan.family import Wan, open_model

CPU = torch.device("cpu")
WEIGHTS = "diffusion_pytorch_model.safetensors"
PARTS = ("pretrained_model", "pretrained_transformer_model", "pretrained_vae_model", "pretrained_t5_model")


def opened(model: Path, **changes: Any) -> Wan:
    options = ModelOptions(pretrained_model_name_or_path=str(model)).model_copy(update=changes)
    check_family(options)
    check_weights(options)
    return open_model(options, Opening(torch.float32))


def refusal(model: Path, **changes: Any) -> str:
    """Return what a model is refused with before anything is loaded."""
    with pytest.raises(ModelError) as caught:
        opened(model, **changes)
    return str(caught.value)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be spoilt."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("ending", sorted(PICKLED) + [".PTH"])
def test_pickled_checkpoints_are_refused_by_name_whether_they_exist_or_not(
    tiny_model: Path, part: str, ending: str
) -> None:
    message = refusal(tiny_model, **{f"{part}_name_or_path": f"weights/tuned{ending}"})
    assert message.startswith(f"weights/tuned{ending} is a pickled checkpoint")
    assert "tuned.safetensors" in message


def test_the_way_to_convert_a_pickled_checkpoint_works(tmp_path: Path) -> None:
    weight = torch.randn(4, 3)
    torch.save({"a": weight, "b": weight.T}, tmp_path / "tuned.pth")
    exec(conversion(tmp_path / "tuned.pth"))
    converted = load_file(tmp_path / "tuned.safetensors")
    assert torch.equal(converted["a"], weight)
    assert torch.equal(converted["b"], weight.T)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda file: torch.save({"a": torch.zeros(3)}, file), "is a pickled checkpoint under another name"),
        (lambda file: file.write_bytes(pickle.dumps({"a": [1.0] * 9})), "is a pickled checkpoint under another name"),
        (lambda file: file.write_bytes(b"GGUF\3\0\0\0" + bytes(99)), "is a GGUF file under another name"),
        (lambda file: file.write_text("<!doctype html>\n<title>Sign in</title>"), "but a web page"),
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: save_file({}, file), "holds no tensor at all"),
    ],
)
def test_what_is_called_safetensors_and_is_not_is_told_by_its_content(
    tiny_model: Path, tmp_path: Path, write: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "tuned.safetensors"
    write(file)
    assert words in refusal(tiny_model, pretrained_transformer_model_name_or_path=str(file))


def test_packed_and_nameless_files_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    assert "is a GGUF file" in refusal(tiny_model, pretrained_transformer_model_name_or_path="wan-Q4_K_M.gguf")
    (tmp_path / "notes.txt").write_text("")
    words = "is a file, but none that ends in .safetensors"
    assert words in refusal(tiny_model, pretrained_vae_model_name_or_path=str(tmp_path / "notes.txt"))


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_folder_with_pickled_weights_alone_is_refused(model: Path, part: str) -> None:
    (file,) = (model / part).glob("*.safetensors")
    file.rename(file.with_suffix(".bin"))
    assert refusal(model).startswith(f"{file.with_suffix('.bin')} is a pickled checkpoint")


@pytest.mark.parametrize(
    ("changes", "index", "kind"),
    [
        ({"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}, {}, "is an image-to-video model"),
        (
            {"in_channels": 36, "image_dim": 1280, "pos_embed_seq_len": 514},
            {},
            "is a first-and-last-frame (FLF2V) model",
        ),
        ({"_class_name": "WanVACETransformer3DModel", "vace_layers": [0]}, {}, "is a VACE model"),
        ({}, {"transformer_2": ["diffusers", "WanTransformer3DModel"]}, "is a two-expert Wan 2.2 model"),
        ({"in_channels": 48}, {}, "is a model with other latent channels, such as Wan 2.2 5B"),
        ({"_class_name": "WanAnimateTransformer3DModel"}, {}, "is no Wan transformer"),
        ({"_class_name": "WanModel", "model_type": "t2v"}, {}, "is in the layout of the model's own release"),
        ({"_class_name": "WanModel", "model_type": "i2v"}, {}, "is an image-to-video model"),
        ({"_class_name": "WanModel", "model_type": "vace"}, {}, "is a VACE model"),
    ],
)
def test_a_folder_of_another_kind_is_refused_in_one_sentence(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], index: dict[str, Any], kind: str
) -> None:
    base = write_model(tmp_path / "base", **changes)
    write_json(base / "model_index.json", {"_class_name": "WanPipeline", **index})
    for place in ({}, {"pretrained_transformer_model_name_or_path": str(base)}):
        message = refusal(tiny_model if place else base, **place)
        assert message.startswith(f"{base} {kind}")
        assert len(message.splitlines()) == 1
        assert message.endswith("such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers.")


def test_both_experts_of_wan_22_are_none_of_them_a_transformer_alone(tiny_model: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "model_index.json", {"transformer_2": ["diffusers", "WanTransformer3DModel"]})
    write_json(tmp_path / "transformer_2/config.json", TRANSFORMER)
    place = {
        "pretrained_transformer_model_name_or_path": str(tmp_path),
        "pretrained_transformer_subfolder": "transformer_2",
    }
    assert "is a two-expert Wan 2.2 model" in refusal(tiny_model, **place)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"_class_name": "AutoencoderKL"}, "holds an autoencoder of class AutoencoderKL;"),
        ({"_class_name": "AutoencoderKLWan", "z_dim": 48}, "of 48 channels (Wan 2.2 5B's)"),
    ],
)
def test_a_folder_with_another_autoencoder_is_refused_in_one_sentence(
    model: Path, tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    write_json(tmp_path / "vae/config.json", config)
    message = refusal(model, pretrained_vae_model_name_or_path=str(tmp_path / "vae"))
    assert words in message
    assert len(message.splitlines()) == 1
    write_json(model / "vae/config.json", config)
    assert words in refusal(model)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            {"conv2.weight": (48, 48, 1, 1, 1), "decoder.conv1.weight": (8, 48, 3, 3, 3)},
            "of 48 channels (Wan 2.2 5B's)",
        ),
        ({"decoder.conv_in.weight": (512, 4, 3, 3), "post_quant_conv.weight": (4, 4, 1, 1)}, "for images perhaps"),
        ({"blocks.0.self_attn.q.weight": (8, 8)}, "is no autoencoder (it holds blocks.0.self_attn.q.weight"),
    ],
)
def test_a_file_with_another_autoencoder_is_refused_in_one_sentence(
    tiny_model: Path, tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    file = write_header(tmp_path / "vae.safetensors", shapes)
    message = refusal(tiny_model, pretrained_vae_model_name_or_path=str(file))
    assert words in message
    assert len(message.splitlines()) == 1


def test_what_is_missing_and_superfluous_in_a_file_of_an_autoencoder_is_named(model: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=4, num_res_blocks=2)
    vae.save_pretrained(model / "vae")
    file = write_checkpoint(tmp_path / "vae.safetensors", vae.state_dict(), original_vae)
    tensors = load_file(file)
    del tensors["decoder.middle.0.residual.2.weight"]
    tensors["decoder.middle.3.gamma"] = torch.zeros(4)
    save_file(tensors, file)
    message = refusal(model, pretrained_vae_model_name_or_path=str(file))
    assert "decoder.mid_block.resnets.0.conv1.weight is in none of the files" in message
    assert "decoder.middle.3.gamma has no place in the model" in message
    assert f"{model / 'vae/config.json'}, the base model's" in message


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_superfluous_tensor_in_a_folder_is_named(model: Path, part: str) -> None:
    (file,) = (model / part).glob("*.safetensors")
    save_file(load_file(file) | {"blocks.0.camera.weight": torch.zeros(3)}, file, metadata={"format": "pt"})
    assert "blocks.0.camera.weight has no place in the model" in refusal(model)


def test_the_decoder_of_a_whole_text_model_is_left_out(model: Path) -> None:
    file = model / "text_encoder/model.safetensors"
    beside = {"decoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(3), "lm_head.weight": torch.zeros(3)}
    save_file(load_file(file) | beside, file, metadata={"format": "pt"})
    with opened(model).text_encoder(CPU) as encode:
        assert encode(["a circle"])[0].isfinite().all()


def test_an_adapter_that_lies_beside_the_weights_is_no_part_of_them(model: Path) -> None:
    save_file({"blocks.0.attn1.to_q.lora_A.weight": torch.zeros(3)}, model / "transformer/my-lora.safetensors")
    assert opened(model).load_transformer(CPU).state_dict().keys() == load_file(model / "transformer" / WEIGHTS).keys()


@pytest.mark.parametrize(
    ("part", "value"), [("transformer", "nan"), ("transformer", "-inf"), ("vae", "inf"), ("text_encoder", "nan")]
)
def test_a_value_that_is_not_finite_is_told_with_its_tensor(model: Path, part: str, value: str) -> None:
    (file,) = (model / part).glob("*.safetensors")
    tensors = load_file(file)
    name = max(tensors)
    tensors[name].view(-1)[1] = float(value)
    save_file(tensors, file, metadata={"format": "pt"})
    wan = open_tiny(model, torch.float32)
    load: dict[str, Callable[[], object]] = {
        "transformer": lambda: wan.load_transformer(CPU),
        "vae": lambda: wan.video_encoder(CPU).__enter__(),
        "text_encoder": lambda: wan.text_encoder(CPU).__enter__(),
    }
    with pytest.raises(ModelError, match=f"{name} holds values that are NaN or infinite"):
        load[part]()
