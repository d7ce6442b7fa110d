"""Adapter files of other programs are recognised by their keys, and refused in one sentence where they are unfit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from helpers.random_changes import random_change
from reeltune.adapters.about import About
from reeltune.adapters.changes import Change, Decomposed, Rotation, matrix_of
from reeltune.adapters.layouts import check_fit, read_adapter, write_adapter
from reeltune.contracts.layers import LinearLayer
from reeltune.errors import ConfigError, ModelError
from reeltune.families.wan.description import FACTS

A, B = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)), torch.ones(4, 2)
"""LoRA's halves for a layer of 6 inputs and 4 outputs."""
OUT = "blocks.7.attn2.to_out.0"


def file_of(folder: Path, tensors: dict[str, Any], **metadata: Any) -> Path:
    path = folder / "a.safetensors"
    tensors = {key: value if isinstance(value, Tensor) else torch.tensor(value) for key, value in tensors.items()}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    save_file({key: tensor.clone() for key, tensor in tensors.items()}, path, metadata=texts or None)
    return path


def matrix(change: Change) -> Tensor:
    return matrix_of(change, torch.zeros(4, 6))


@pytest.mark.parametrize(
    ("written", "layer", "layout"),
    [
        ("transformer.blocks.7.attn2.to_out.0.lora_{}.weight", OUT, "diffusers"),
        ("base_model.model.blocks.7.attn2.to_out.0.lora_{}.weight", OUT, "diffusers"),
        ("transformer.blocks.7.attn2.to_out.0.lora_{}.default.weight", OUT, "diffusers"),
        ("blocks.7.attn2.to_out.0.lora_{}.weight", OUT, "diffusers"),
        ("blocks.7.cross_attn.o.lora_{}.weight", OUT, "comfyui"),
        ("diffusion_model.blocks.7.cross_attn.o.lora_{}.weight", OUT, "comfyui"),
        ("lora_unet_blocks_7_cross_attn_o.lora_{}.weight", OUT, "comfyui"),
        ("lycoris_blocks_7_attn2_to_out_0.lora_{}.weight", OUT, "lycoris"),
        ("diffusion_model.blocks.0.ffn.0.lora_{}.weight", "blocks.0.ffn.net.0.proj", "comfyui"),
        ("lora_unet_blocks_0_ffn_2.lora_{}.weight", "blocks.0.ffn.net.2", "comfyui"),
        ("diffusion_model.head.head.lora_{}.weight", "proj_out", "comfyui"),
        ("lycoris_condition_embedder_time_proj.lora_{}.weight", "condition_embedder.time_proj", "lycoris"),
        ("transformer.blocks.7.attn2.add_k_proj.lora_{}.weight", "blocks.7.attn2.add_k_proj", "diffusers"),
    ],
)
@pytest.mark.parametrize("halves", ["AB", ("down", "up")])
def test_layers_are_found_under_every_name_in_use(written: str, layer: str, layout: str, halves, tmp_path) -> None:
    if ".default." in written and halves != "AB":
        halves = "AB"
    file = read_adapter(file_of(tmp_path, {written.format(halves[0]): A, written.format(halves[1]): B}), FACTS)
    assert (file.layout, list(file.changes)) == (layout, [layer])
    torch.testing.assert_close(matrix(file.changes[layer]), B @ A)


def lora(layer: str = f"transformer.{OUT}") -> dict[str, Any]:
    return {f"{layer}.lora_A.weight": A, f"{layer}.lora_B.weight": B}


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({}, 1),
        ({"transformer.r": 2, "transformer.lora_alpha": 1}, 0.5),
        ({"transformer.r": 2, "transformer.lora_alpha": 1, "transformer.alpha_pattern": {"to_out.0": 6}}, 3),
        ({"transformer.r": 2, "transformer.lora_alpha": 1, "transformer.alpha_pattern": {"to_q": 6}}, 0.5),
        ({"transformer.r": 2, "transformer.lora_alpha": 2, "transformer.use_rslora": True}, 2**0.5),
    ],
)
def test_alpha_is_taken_from_the_settings_of_peft(settings: dict[str, Any], scale: float, tmp_path: Path) -> None:
    path = file_of(tmp_path, lora(), **({"lora_adapter_metadata": settings} if settings else {}))
    torch.testing.assert_close(matrix(read_adapter(path, FACTS).changes[OUT]), scale * B @ A)


def test_alpha_beside_the_pair_and_half_precision_are_read(tmp_path: Path) -> None:
    layer = "diffusion_model.blocks.7.cross_attn.o"
    tensors = {key: tensor.bfloat16() for key, tensor in lora(layer).items()}
    file = read_adapter(file_of(tmp_path, {**tensors, f"{layer}.alpha": torch.tensor(3.0).half()}), FACTS)
    torch.testing.assert_close(matrix(file.changes[OUT]), 1.5 * B @ A.bfloat16().float())


def test_another_trainers_dora_for_comfyui_means_lengths_of_the_changed_rows(tmp_path: Path) -> None:
    layer = "diffusion_model.blocks.7.cross_attn.o"
    path = file_of(tmp_path, {**lora(layer), f"{layer}.dora_scale": torch.ones(4, 1)})
    change, weight = read_adapter(path, FACTS).changes[OUT], torch.randn(4, 6)
    assert isinstance(change, Decomposed)
    torch.testing.assert_close((weight + matrix_of(change, weight)).norm(dim=1), torch.ones(4))


def test_the_limit_of_a_rotation_counts_all_outputs_in_comfyui_and_each_in_lycoris(tmp_path: Path) -> None:
    limits = []
    for layer in ("diffusion_model.blocks.7.cross_attn.o", "lycoris_blocks_7_attn2_to_out_0"):
        path = file_of(tmp_path, {f"{layer}.oft_blocks": torch.ones(2, 2, 2), f"{layer}.alpha": 0.5})
        change = read_adapter(path, FACTS).changes[OUT]
        assert isinstance(change, Rotation)
        limits.append(change.constraint)
    assert limits == [0.5 / 4, 0.5]


def test_what_a_file_says_of_itself_comes_back(tmp_path: Path) -> None:
    about = About("some/base", "4fe", "lokr", 4, 2, ("attn1",), 7, {"clips": 3}, "mine", {"algo": "lokr"}, "a/lora")
    change = {OUT: random_change("lora", 8, 8)}
    for layout in ("diffusers", "comfyui", "lycoris"):
        write_adapter(tmp_path / "a.safetensors", change, layout, about, FACTS)
        said = read_adapter(tmp_path / "a.safetensors", FACTS).about
        assert (said["base_model"], said["base_fingerprint"], said["rank"], said["alpha"]) == ("some/base", "4fe", 4, 2)
        assert (said["step"], said["data"], said["targets"]) == (7, {"clips": 3}, ["attn1"])
        assert said["modelspec.title"] == "mine"
        assert said["modelspec.architecture"] == "a/lora"
    assert read_adapter(file_of(tmp_path, lora(), ss_steps="9", note="é"), FACTS).about == {"ss_steps": 9, "note": "é"}


HALF = {f"transformer.{OUT}.lora_A.weight": A}
LYCORIS = "lycoris_blocks_7_attn2_to_out_0.{}"
UNFIT = {
    "nothing": ({}, "holds no tensors"),
    "an empty tensor": (lora() | {f"transformer.{OUT}.lora_A.weight": torch.empty(0, 6)}, "lora_A.weight is empty"),
    "NaN": (lora() | {f"transformer.{OUT}.lora_B.weight": B / 0 * 0}, "lora_B.weight holds NaN"),
    "infinity": (lora() | {f"transformer.{OUT}.lora_B.weight": B / 0}, "lora_B.weight holds NaN or infinite"),
    "half a pair": (HALF, "layer blocks.7.attn2.to_out.0 has .* but lacks lora_B.weight"),
    "another half": ({LYCORIS.format("lokr_w1_a"): A, LYCORIS.format("lokr_w2"): B}, "lacks lokr_w1_b"),
    "alpha alone": ({f"transformer.{OUT}.alpha": 1.0}, "has only alpha"),
    "two kinds": (lora() | {f"transformer.{OUT}.diff": A}, "has diff as well"),
    "an unknown part": (
        lora() | {f"transformer.{OUT}.lora_mid.weight": A},
        "to_out.0.lora_mid.weight belongs to no kind",
    ),
    "a bias": (lora() | {f"transformer.{OUT}.lora_B.bias": A}, "lora_B.bias belongs to no kind"),
    "a whole model": ({f"{OUT}.weight": A}, f"tensor {OUT}.weight belongs to no kind of adapter"),
    "an unknown layer": (
        lora("lora_unet_blocks_0_self_attn_z"),
        "no layers of these names: lora_unet_blocks_0_self_attn_z",
    ),
    "one layer twice": (lora() | lora("transformer.blocks.7.cross_attn.o"), "no layers of these names"),
    "two layouts": (lora() | lora("lycoris_blocks_0_attn1_to_q"), "mixes layouts: .*lycoris.* and .*transformer"),
    "wrong shapes": (
        {LYCORIS.format(name): torch.ones(3) for name in ("a1.weight", "a2.weight", "b1.weight", "b2.weight")},
        "layer blocks.7.attn2.to_out.0 has tensors of other shapes",
    ),
    "halves of two ranks": (lora() | {f"transformer.{OUT}.lora_B.weight": torch.ones(4, 3)}, "other shapes"),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_an_unfit_file_is_refused_in_one_sentence(unfit: str, tmp_path: Path) -> None:
    tensors, said = UNFIT[unfit]
    with pytest.raises(ModelError, match=said) as caught:
        read_adapter(file_of(tmp_path, tensors), FACTS)
    assert str(tmp_path / "a.safetensors") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.bin", "a.ckpt", "a.safetensors"])
def test_pickled_files_are_never_opened(name: str, tmp_path: Path) -> None:
    torch.save({"a": A}, tmp_path / name)
    with pytest.raises(ModelError, match="only .safetensors files|not a whole safetensors"):
        read_adapter(tmp_path / name, FACTS)


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\xff" * 64, None])
def test_what_is_no_whole_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    if content is None:
        path.write_bytes(file_of(tmp_path, lora()).read_bytes()[:-8])
    else:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        read_adapter(path, FACTS)
    with pytest.raises(ModelError, match="no file here"):
        read_adapter(tmp_path, FACTS)


@pytest.mark.parametrize("kind", ["lora", "dora", "lokr", "loha", "glora", "full", "oft", "boft", "ia3", "ia3-input"])
def test_a_file_for_another_base_is_refused_with_both_widths(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_adapter(path, {OUT: random_change(kind, 16, 24)}, "lycoris", About("b", "f", kind), FACTS)
    file = read_adapter(path, FACTS)
    check_fit(file, [LinearLayer(OUT, 24, 16)])
    with pytest.raises(ModelError, match=r"made for a base (16|24) wide; this one is 32 wide"):
        check_fit(file, [LinearLayer(OUT, 32, 32)])
    with pytest.raises(ModelError, match="changes 1 layers that this base lacks: blocks.7.attn2.to_out.0"):
        check_fit(file, [LinearLayer("blocks.7.attn2.to_q", 24, 16)])


@pytest.mark.parametrize(
    ("kind", "layout", "said"),
    [
        ("ia3", "comfyui", "ComfyUI has no rule for IA3"),
        ("oft-rescaled", "comfyui", "OFT with rescaled"),
        ("lokr", "diffusers", "diffusers has no rule for LoKr"),
        ("dora-lokr", "diffusers", "diffusers has no rule for DoRA of LoKr|diffusers has no rule for LoKr"),
        ("dora-columns", "diffusers", "no rule for DoRA with lengths of columns"),
    ],
)
def test_a_kind_that_a_layout_cannot_hold_is_refused(kind: str, layout: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        write_adapter(tmp_path / "a", {OUT: random_change(kind, 16, 16)}, layout, About("b", "f", kind), FACTS)
    assert not (tmp_path / "a").exists()
