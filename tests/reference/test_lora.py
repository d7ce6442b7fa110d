"""The adapter equals PEFT's, and its files are what other programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_wan_lora_to_diffusers
from peft import LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file

from helpers.tiny import open_tiny, random_batch
from reeltune.adapters.about import About
from reeltune.adapters.layouts import write_adapter
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Noised
from reeltune.demo.model import make_model
from reeltune.families.wan.family import FACTS

CPU = torch.device("cpu")
ABOUT = About("some/base", "4fe", "lora")


def adapted(tiny_model: Path, dtype: torch.dtype, *, alpha: float | None = None) -> tuple[Lora, torch.Tensor]:
    """Return an adapter with random B as well, and its output on a fixed batch."""
    wan = open_tiny(tiny_model, dtype)
    transformer = wan.load_transformer(CPU)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4, lora_alpha=alpha), FACTS.adapter_targets, seed=3)
    generator = torch.Generator().manual_seed(7)
    lora.load({name: 0.3 * torch.randn(p.shape, generator=generator) for name, p in lora.trainable().items()})
    return lora, forward(wan, transformer)


def forward(wan, transformer) -> torch.Tensor:
    noised = Noised(x_t=random_batch(seed=5).latents, sigma=torch.tensor([0.3, 0.8]), target=random_batch().latents)
    with torch.no_grad():
        return wan.predict(transformer, noised, random_batch())


def gradient_of(parameter: torch.nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def stock_with_file(tiny_model: Path, path: Path, dtype: torch.dtype) -> torch.Tensor:
    """Return the output of an untouched transformer that has read an adapter file by diffusers' own loader."""
    transformer = WanTransformer3DModel.from_pretrained(tiny_model / "transformer", dtype=dtype)
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["lora_adapter_metadata"])
    transformer.load_lora_adapter(load_file(path), prefix="transformer", metadata=metadata)
    return forward(open_tiny(tiny_model, dtype), transformer)


def test_the_adapter_at_its_start_changes_nothing(tiny_model) -> None:
    wan = open_tiny(tiny_model, torch.float32)
    transformer = wan.load_transformer(CPU)
    before = forward(wan, transformer)
    attach_lora(transformer, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=3)
    assert torch.equal(forward(wan, transformer), before)


def test_the_start_is_a_function_of_the_seed_alone(tiny_model) -> None:
    wan = open_tiny(tiny_model, torch.float32)
    starts = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        lora = attach_lora(wan.load_transformer(CPU), AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=3)
        starts.append(lora.trainable())
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])


def test_all_attention_linears_and_nothing_else_are_trained(tiny_model) -> None:
    lora, _ = adapted(tiny_model, torch.float32)
    modules = {name.partition(".lora_")[0] for name in lora.trainable()}
    expected = {
        f"blocks.{block}.{attention}.{linear}"
        for block in range(12)
        for attention in ("attn1", "attn2")
        for linear in ("to_q", "to_k", "to_v", "to_out.0")
    }
    assert modules == expected
    assert len(lora.trainable()) == 2 * len(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trained_weights_are_float32_on_any_base(tiny_model, dtype: torch.dtype) -> None:
    lora, _ = adapted(tiny_model, dtype)
    assert {parameter.dtype for parameter in lora.trainable().values()} == {torch.float32}


def test_in_float32_the_forward_and_the_gradients_are_pefts_bit_for_bit(tiny_model) -> None:
    lora, output = adapted(tiny_model, torch.float32, alpha=8)
    stock = WanTransformer3DModel.from_pretrained(tiny_model / "transformer").requires_grad_(False)
    stock.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=list(FACTS.adapter_targets)))
    wan, own = open_tiny(tiny_model, torch.float32), lora.trainable()
    theirs = {n.replace(".default.", "."): p for n, p in stock.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(own[name])
    assert torch.equal(forward(wan, stock), output)
    noised = Noised(x_t=random_batch(seed=5).latents, sigma=torch.tensor([0.3, 0.8]), target=random_batch().latents)
    for transformer in (stock, lora.transformer):
        wan.predict(transformer, noised, random_batch()).square().mean().backward()
    for name, parameter in own.items():
        assert torch.equal(gradient_of(parameter), gradient_of(theirs[name])), name


def test_a_bfloat16_base_gives_gradients_in_the_direction_of_float32(tiny_model) -> None:
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        lora, _ = adapted(tiny_model, dtype)
        wan = open_tiny(tiny_model, dtype)
        noised = Noised(x_t=random_batch(seed=5).latents, sigma=torch.tensor([0.3, 0.8]), target=random_batch().latents)
        (wan.predict(lora.transformer, noised, random_batch()) - noised.target).square().mean().backward()
        gradients.append(torch.cat([gradient_of(p).flatten() for p in lora.trainable().values()]).double())
    assert gradients[1].isfinite().all()
    # bfloat16 keeps 8 bits: 12 blocks of rounding leave about a percent of angle.
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.parametrize("alpha", [None, 2.0, 6.5])
def test_the_diffusers_file_gives_the_same_output_in_an_untouched_transformer(tiny_model, tmp_path, alpha) -> None:
    lora, output = adapted(tiny_model, torch.float32, alpha=alpha)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    write_adapter(path, lora.changes(), "diffusers", ABOUT, FACTS)
    read = stock_with_file(tiny_model, path, torch.float32)
    if alpha == 6.5:
        # Its scale, 1.625, is multiplied into the file's numbers, which then have another last digit.
        torch.testing.assert_close(read, output, rtol=1e-4, atol=1e-5)
    else:
        assert torch.equal(read, output)


@pytest.mark.parametrize("alpha", [None, 2.0])
def test_the_comfyui_file_holds_the_same_update_under_the_releases_names(tiny_model, tmp_path, alpha) -> None:
    lora, _ = adapted(tiny_model, torch.float32, alpha=alpha)
    path = tmp_path / "comfyui.safetensors"
    write_adapter(path, lora.changes(), "comfyui", ABOUT, FACTS)
    tensors = load_file(path)
    assert "diffusion_model.blocks.0.self_attn.q.lora_A.weight" in tensors
    assert "diffusion_model.blocks.11.cross_attn.o.alpha" in tensors
    # Diffusers' converter from the release's names, which folds alpha in, is the independent reader.
    converted = _convert_non_diffusers_wan_lora_to_diffusers(dict(tensors))
    own, scale = lora.trainable(), lora.alpha / lora.rank
    modules = {name.partition(".lora_")[0] for name in own}
    assert len(converted) == len(own)
    for module in modules:
        a, b = (converted[f"transformer.{module}.lora_{half}.weight"] for half in "AB")
        expected = scale * own[f"{module}.lora_B.weight"] @ own[f"{module}.lora_A.weight"]
        torch.testing.assert_close(b @ a, expected, rtol=1e-6, atol=1e-7)


def test_files_of_equal_weights_are_equal_to_the_byte(tiny_model, tmp_path) -> None:
    lora, _ = adapted(tiny_model, torch.float32)
    for name in ("one", "two"):
        write_adapter(tmp_path / name / "a.safetensors", lora.changes(), "diffusers", ABOUT, FACTS)
        write_adapter(tmp_path / name / "b.safetensors", lora.changes(), "comfyui", ABOUT, FACTS)
    for name in ("a.safetensors", "b.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_thirty_blocks_give_two_hundred_and_forty_modules(tmp_path: Path) -> None:
    make_model(tmp_path / "model", ["a white circle"], blocks=30)
    transformer = open_tiny(tmp_path / "model", torch.float32).load_transformer(CPU)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=2), FACTS.adapter_targets, seed=0)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    write_adapter(path, lora.changes(), "diffusers", ABOUT, FACTS)
    assert len(load_file(path)) == 2 * 240
