"""A transformer in one file: every layout is read as diffusers reads it, and what is no Wan 2.1 is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from helpers.checkpoints import LAYOUTS, original, write_checkpoint, write_header
from reeltune.config.model import ModelOptions
from reeltune.contracts.dimensions import Dimensions
from reeltune.errors import ModelError
from reeltune.families import check_family, family_dimensions, family_locations
from reeltune.families.opening import Opening, check_weights
from reeltune.families.wan.family import Wan, open_model
from reeltune.families.wan.single_file import look_into, release_name
from reeltune.families.wan.variants import LARGE, SMALL

CPU = torch.device("cpu")
RELEASED: dict[str, dict[str, Any]] = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
}


def tensors_of(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "transformer/diffusion_pytorch_model.safetensors")


def written(model: Path, file: Path, layout: str = "original") -> Path:
    return write_checkpoint(file, tensors_of(model), LAYOUTS[layout])


def options_of(model: Path, transformer: Path, **changes: Any) -> ModelOptions:
    return ModelOptions(
        pretrained_model_name_or_path=str(model),
        pretrained_transformer_model_name_or_path=str(transformer),
        pretrained_transformer_subfolder="none",
        **changes,
    )


def opened(model: Path, transformer: Path, dtype: torch.dtype = torch.float32) -> Wan:
    return open_model(options_of(model, transformer), Opening(dtype))


def released_shapes(repository: str, name: Callable[[str], str] = original) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        module = WanTransformer3DModel(**RELEASED[repository])
    return {name(own): tuple(tensor.shape) for own, tensor in module.state_dict().items()}


def test_names_are_those_of_the_release(tiny_model: Path) -> None:
    assert {name: release_name(name) for name in tensors_of(tiny_model)} == {
        name: original(name) for name in tensors_of(tiny_model)
    }


@pytest.mark.parametrize(("repository", "size"), list(zip(RELEASED, (SMALL, LARGE), strict=True)))
def test_a_file_as_the_base_model_takes_the_rest_from_the_release_of_its_size(
    tmp_path: Path, repository: str, size: Dimensions
) -> None:
    file = write_header(tmp_path / "tuned.safetensors", released_shapes(repository))
    options = ModelOptions(pretrained_model_name_or_path=str(file))
    check_family(options)
    assert family_dimensions(options) == size
    places = {location.component: (location.place, location.state) for location in family_locations(options)}
    assert places.pop("transformer") == (str(file), "file")
    assert set(places.values()) == {(repository, "hub")}
    with torch.device("meta"):
        stock = WanTransformer3DModel(**RELEASED[repository]).config
    config = look_into(file).config()
    assert {name: stock[name] for name in config if name in stock} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items() if name in stock
    }


SMALL_REPOSITORY = next(iter(RELEASED))


def test_a_file_as_the_base_model_says_in_one_line_where_the_rest_comes_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_header(tmp_path / "tuned.safetensors", released_shapes(SMALL_REPOSITORY))
    caplog.set_level(logging.INFO, logger="reeltune")
    with pytest.raises(ModelError, match=f"{SMALL_REPOSITORY} is no folder here"):
        open_model(ModelOptions(pretrained_model_name_or_path=str(file)), Opening(torch.float32))
    line = f"{file} holds the transformer alone; what else is needed comes from {SMALL_REPOSITORY}"
    assert caplog.messages == [line]


def test_a_file_of_neither_the_base_s_nor_a_released_size_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors")
    check_family(options_of(tiny_model, file))
    # Without the base, which is 64 wide too, nothing tells the width of its heads.
    assert "is a transformer 64 wide (1536 and 5120 are known)" in refusal(file)


OTHER = "such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
PLAIN = "the bf16, fp16 or plain fp8 file of the same model"


def refusal(file: Path) -> str:
    """Return what a file is refused with as the base model, which happens before anything is loaded."""
    with pytest.raises(ModelError) as caught:
        check_family(ModelOptions(pretrained_model_name_or_path=str(file)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind", "advice"),
    [
        ({"blocks.0.cross_attn.k_img.weight": (1,)}, "is an image-to-video model", OTHER),
        ({"img_emb.proj.0.weight": (1,)}, "is an image-to-video model", OTHER),
        ({"img_emb.emb_pos": (1,), "img_emb.proj.0.weight": (1,)}, "is a first-and-last-frame (FLF2V) model", OTHER),
        ({"vace_blocks.0.after_proj.bias": (1,)}, "is a VACE model", OTHER),
        ({"face_adapter.fuser_blocks.0.q_norm.weight": (1,)}, "is a Wan 2.2 model for animation", OTHER),
        ({"patch_embedding.weight": (1536, 36, 1, 2, 2)}, "Wan 2.2 5B or I2V", OTHER),
        ({"scaled_fp8": (2,)}, "is a file of scaled 8-bit weights", PLAIN),
        ({"blocks.0.ffn.0.scale_weight": (1,)}, "is a file of scaled 8-bit weights", PLAIN),
        ({"blocks.0.ffn.0.weight.absmax": (1,)}, "is a file of 4-bit weights", PLAIN),
        ({"blocks.0.self_attn.q.lora_A.weight": (4, 1536)}, "is an adapter", "give it as init_lora"),
        ({"lycoris_blocks_0_attn1_to_q.lokr_w1": (4, 4)}, "is an adapter", "give it as init_lora"),
        ({"patch_embedding.weight": (1000, 16, 1, 2, 2)}, "is a transformer 1000 wide (1536 and 5120 are known)", ""),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_sentence(
    tmp_path: Path, change: dict[str, tuple[int, ...]], kind: str, advice: str
) -> None:
    message = refusal(write_header(tmp_path / "tuned.safetensors", released_shapes(SMALL_REPOSITORY) | change))
    assert kind in message
    assert advice in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({}, "holds no tensor at all"),
        (
            {"double_blocks.0.img_mod.lin.weight": (8, 8)},
            "no Wan transformer (its tensors are called double_blocks.0.img",
        ),
        ({"decoder.conv1.weight": (8, 8, 3, 3, 3)}, "is an autoencoder; give it as pretrained_vae_model_name_or_path"),
        ({"shared.weight": (8, 8)}, "is a text encoder; give its folder in the diffusers layout"),
    ],
)
def test_a_file_without_a_transformer_is_told_by_what_it_holds(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    assert words in refusal(write_header(tmp_path / "tuned.safetensors", shapes))


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("head.head.weight", None, "head.head.weight is missing"),
        ("patch_embedding.weight", None, "patch_embedding.weight is missing"),
        ("patch_embedding.weight", (1536, 64), "patch_embedding.weight has shape [1536, 64] instead of 5 axes"),
        ("blocks.0.ffn.0.weight", (0, 1536), "blocks.0.ffn.0.weight is empty"),
        ("blocks.7.self_attn.q.weight", (0,), "blocks.7.self_attn.q.weight is empty"),
        ("blocks.7.self_attn.q.weight", (9, 9), "blocks.7.self_attn.q.weight has shape [9, 9] instead of [1536, 1536]"),
    ],
)
def test_a_tensor_that_is_missing_empty_or_of_another_shape_is_named_as_the_file_names_it(
    tiny_model: Path, tmp_path: Path, name: str, shape: tuple[int, ...] | None, words: str
) -> None:
    shapes: dict[str, Any] = released_shapes(SMALL_REPOSITORY) | {name: shape}
    file = write_header(tmp_path / "tuned.safetensors", {n: shape for n, shape in shapes.items() if shape is not None})
    with pytest.raises(ModelError) as caught:
        check_weights(options_of(tiny_model, file))
    assert words in str(caught.value)


def test_one_shard_of_several_is_told_apart_from_a_whole_file(tmp_path: Path) -> None:
    shapes = released_shapes(SMALL_REPOSITORY)
    del shapes["head.head.weight"]
    file = write_header(tmp_path / "diffusion_pytorch_model-00001-of-00002.safetensors", shapes)
    assert refusal(file).endswith("It is one shard of several: give their folder.")


@pytest.mark.parametrize(("repository", "size"), list(zip(RELEASED, (SMALL, LARGE), strict=True)))
def test_a_whole_file_of_a_released_size_passes_without_its_values_being_read(
    tiny_model: Path, tmp_path: Path, repository: str, size: Dimensions
) -> None:
    file = write_header(tmp_path / "tuned.safetensors", released_shapes(repository, LAYOUTS["comfyui"]))
    options = options_of(tiny_model, file)
    check_weights(options)
    assert family_dimensions(options) == size


def test_an_expert_of_wan_22_is_known_by_its_file_name(tmp_path: Path) -> None:
    # Its shapes are those of Wan 2.1 14B.
    file = write_header(tmp_path / "wan2.2_t2v_high_noise_14B.safetensors", released_shapes(SMALL_REPOSITORY))
    with pytest.raises(ModelError, match="one of the two experts of Wan 2.2"):
        check_family(ModelOptions(pretrained_model_name_or_path=str(file)))


def test_a_file_that_is_not_there_is_told_with_how_to_fetch_one(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no file here"):
        check_family(options_of(tiny_model, tmp_path / "tuned.safetensors"))


def test_a_file_that_is_cut_short_is_told(tiny_model: Path, tmp_path: Path) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is cut short"):
        check_family(options_of(tiny_model, file))


@pytest.mark.parametrize("layout", ["original", "comfyui, whole"])
def test_tensors_that_the_model_has_no_place_for_are_named_and_counted(
    tiny_model: Path, tmp_path: Path, layout: str
) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors", layout)
    tensors = load_file(file)
    prefix = "model.diffusion_model." if "whole" in layout else ""
    for block in range(5):
        tensors[f"{prefix}blocks.{block}.camera.weight"] = torch.zeros(3)
    del tensors[f"{prefix}blocks.3.self_attn.q.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelError) as caught:
        check_weights(options_of(tiny_model, file))
    message = str(caught.value)
    assert f"{prefix}blocks.3.self_attn.q.weight is in none of the files" in message
    assert f"{prefix}blocks.2.camera.weight has no place in the model\n  and 2 more of this kind" in message
    assert f"{prefix}blocks.3.camera.weight" not in message


@pytest.mark.parametrize("layout", ["original", "comfyui, whole"])
def test_other_parts_in_the_file_are_left_out_and_told(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors", layout)
    others = {"vae.decoder.conv1.weight": torch.zeros(3), "text_encoders.umt5xxl.scaled_fp8": torch.zeros(2)}
    save_file(load_file(file) | others, file)
    caplog.set_level(logging.INFO, logger="reeltune")
    loaded = opened(tiny_model, file).load_transformer(CPU).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors_of(tiny_model).items())
    assert f"{file}: 2 tensors of other parts are not used: text_encoders, vae" in caplog.messages
