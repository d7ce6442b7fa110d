"""A transformer in one file: every layout is read as diffusers reads it, and what is no Wan 2.1 is named."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from helpers.tiny import random_batch
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Noised
from reeltune.errors import ModelError
from reeltune.families import check_family, family_dimensions, family_locations
from reeltune.families.opening import Opening, check_weights
from reeltune.families.wan.family import Wan, open_model
from reeltune.families.wan.single_file import look_into, release_name
from reeltune.families.wan.variants import LARGE, SMALL

CPU = torch.device("cpu")
LAYOUTS: dict[str, Callable[[str], str]] = {
    "diffusers": str,
    "release": release_name,
    "comfyui": lambda name: f"model.diffusion_model.{release_name(name)}",
}
RELEASED: dict[str, dict[str, Any]] = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
}


def tensors_of(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "transformer/diffusion_pytorch_model.safetensors")


def written(model: Path, file: Path, layout: str = "release") -> Path:
    save_file({LAYOUTS[layout](name): tensor for name, tensor in tensors_of(model).items()}, file)
    return file


def options_of(model: Path, transformer: Path, **changes: Any) -> ModelOptions:
    return ModelOptions(
        pretrained_model_name_or_path=str(model),
        pretrained_transformer_model_name_or_path=str(transformer),
        pretrained_transformer_subfolder="none",
        **changes,
    )


def opened(model: Path, transformer: Path, dtype: torch.dtype = torch.float32) -> Wan:
    return open_model(options_of(model, transformer), Opening(dtype))


def header_only(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """Write a file of holes: its header says what would be in it."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + end)
    return file


def released_shapes(repository: str, name: Callable[[str], str] = release_name) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        module = WanTransformer3DModel(**RELEASED[repository])
    return {name(own): tuple(tensor.shape) for own, tensor in module.state_dict().items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_is_read_as_diffusers_reads_it(tiny_model: Path, tmp_path: Path, layout: str) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors", layout)
    stock = WanTransformer3DModel.from_single_file(str(file), config=str(tiny_model), subfolder="transformer")
    own = opened(tiny_model, file).load_transformer(CPU)
    expected, loaded = stock.state_dict(), own.state_dict()
    assert loaded.keys() == expected.keys() == tensors_of(tiny_model).keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors_of(tiny_model).items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_file_predicts_what_its_folder_predicts(tiny_model: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    file, folder = written(tiny_model, tmp_path / "tuned.safetensors"), tiny_model / "transformer"
    batch = random_batch()
    noised = Noised(batch.latents, torch.tensor([0.25, 0.9]), batch.latents)
    with torch.no_grad():
        from_file, from_folder = (
            wan.predict(wan.load_transformer(CPU), noised, batch)
            for wan in (opened(tiny_model, file, dtype), opened(tiny_model, folder, dtype))
        )
    assert torch.equal(from_file, from_folder)


def test_names_are_those_of_the_release() -> None:
    # Source: the module names of the release, wan/modules/model.py of github.com/Wan-Video/Wan2.1.
    names = {
        "scale_shift_table": "head.modulation",
        "proj_out.bias": "head.head.bias",
        "patch_embedding.weight": "patch_embedding.weight",
        "condition_embedder.time_proj.weight": "time_projection.1.weight",
        "condition_embedder.text_embedder.linear_2.bias": "text_embedding.2.bias",
        "blocks.7.scale_shift_table": "blocks.7.modulation",
        "blocks.7.norm2.weight": "blocks.7.norm3.weight",
        "blocks.7.attn1.to_out.0.weight": "blocks.7.self_attn.o.weight",
        "blocks.7.attn2.norm_q.weight": "blocks.7.cross_attn.norm_q.weight",
        "blocks.7.ffn.net.0.proj.weight": "blocks.7.ffn.0.weight",
    }
    assert {name: release_name(name) for name in names} == names


@pytest.mark.parametrize(("repository", "size"), list(zip(RELEASED, (SMALL, LARGE), strict=True)))
def test_a_file_as_the_base_model_takes_the_rest_from_the_release_of_its_size(
    tmp_path: Path, repository: str, size: object
) -> None:
    file = header_only(tmp_path / "tuned.safetensors", released_shapes(repository))
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


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"blocks.0.cross_attn.k_img.weight": (1,)}, "an image-to-video model"),
        ({"img_emb.proj.0.weight": (1,)}, "an image-to-video model"),
        ({"img_emb.emb_pos": (1,), "img_emb.proj.0.weight": (1,)}, "a first-and-last-frame"),
        ({"vace_blocks.0.after_proj.bias": (1,)}, "a VACE model"),
        ({"patch_embedding.weight": (1536, 36, 1, 2, 2)}, "Wan 2.2 5B or I2V"),
        ({"scaled_fp8": (2,)}, "a file of scaled 8-bit weights"),
        ({"blocks.0.ffn.0.scale_weight": (1,)}, "a file of scaled 8-bit weights"),
        ({"blocks.0.self_attn.q.lora_A.weight": (4, 1536)}, "an adapter"),
        ({"patch_embedding.weight": None}, "no Wan transformer"),
        ({"patch_embedding.weight": (1000, 16, 1, 2, 2)}, "a transformer 1000 wide"),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_sentence(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], kind: str
) -> None:
    shapes = {name: shape for name, shape in (released_shapes(SMALL_REPOSITORY) | change).items() if shape}
    file = header_only(tmp_path / "tuned.safetensors", shapes)
    with pytest.raises(ModelError) as caught:
        check_family(ModelOptions(pretrained_model_name_or_path=str(file)))
    assert kind in str(caught.value)
    assert str(caught.value).endswith("such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers.")


def test_an_expert_of_wan_22_is_known_by_its_file_name(tmp_path: Path) -> None:
    # Its shapes are those of Wan 2.1 14B.
    file = header_only(tmp_path / "wan2.2_t2v_high_noise_14B.safetensors", released_shapes(SMALL_REPOSITORY))
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


def test_a_tensor_that_is_missing_is_named_before_anything_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors")
    tensors = load_file(file)
    del tensors["blocks.3.self_attn.q.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelError, match=r"blocks\.3\.attn1\.to_q\.weight is in none of the files"):
        check_weights(options_of(tiny_model, file))


def test_tensors_beside_the_transformer_are_told_where_they_may_matter(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tiny_model, tmp_path / "tuned.safetensors", "comfyui")
    tensors = load_file(file)
    tensors["model.diffusion_model.blocks.0.camera.weight"] = torch.zeros(3)
    tensors["first_stage_model.decoder.weight"] = torch.zeros(3)
    save_file(tensors, file)
    opened(tiny_model, file).load_transformer(CPU)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.endswith("left out: model.diffusion_model.blocks.0.camera.weight")
