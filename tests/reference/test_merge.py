"""A merged model equals base and adapter: against PEFT's own layers, and a Kronecker product written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear

from helpers.tiny import random_batch
from reeltune.adapters.changes import Change, Decomposed, Dense, Kronecker, LowRank
from reeltune.adapters.merge import merge
from reeltune.adapters.transformer_files import save_transformer
from reeltune.demo.model import make_transformer
from reeltune.errors import ModelError
from reeltune.families.wan.transformer import number_type

BF16 = torch.bfloat16
TARGETS = ["to_q", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out"]


def transformer_in(dtype: torch.dtype) -> WanTransformer3DModel:
    torch.manual_seed(5)
    transformer = make_transformer(2).eval().requires_grad_(False)
    for name, weight in transformer.named_parameters():
        weight.data = weight.data.to(number_type(name, dtype))
    return transformer


def velocity(transformer: nn.Module, dtype: torch.dtype) -> Tensor:
    batch = random_batch()
    told = transformer(
        batch.latents[:, :, :2].to(dtype), torch.tensor([300.0, 800.0]), batch.text.to(dtype), return_dict=False
    )
    return told[0].float()


def relative(value: Tensor, reference: Tensor) -> float:
    return ((value.double() - reference.double()).norm() / reference.double().norm()).item()


def in_peft(transformer: WanTransformer3DModel, *, dora: bool) -> dict[str, Change]:
    """Put a random adapter on by PEFT, and return its changes by the names of layers."""
    transformer.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, use_dora=dora))
    generator = torch.Generator().manual_seed(1)
    changes: dict[str, Change] = {}
    for name, layer in transformer.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        for half in (down, up):
            assert isinstance(half, nn.Parameter)
            half.data = 0.2 * torch.randn(half.shape, generator=generator)
        changes[name] = LowRank(down.detach(), up.detach(), scale=6 / 4)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if dora:
            magnitude = layer.lora_magnitude_vector["default"].weight  # pyright: ignore[reportAttributeAccessIssue]
            assert isinstance(magnitude, nn.Parameter)
            magnitude.data *= 1 + 0.1 * torch.rand(magnitude.shape, generator=generator)
            changes[name] = Decomposed(changes[name], magnitude.detach()[:, None])
    assert len(changes) == 2 * 6 + 1
    return changes


@pytest.mark.parametrize("dora", [False, True], ids=["LoRA", "DoRA"])
def test_the_merged_model_answers_as_base_and_adapter(dora: bool) -> None:
    adapted, merged = transformer_in(torch.float32), transformer_in(torch.float32)
    base = velocity(merged, torch.float32)
    changes = in_peft(adapted.train(), dora=dora)
    with torch.no_grad():
        expected = velocity(adapted.eval(), torch.float32)
    merge(merged, changes)
    assert relative(velocity(merged, torch.float32), expected) < 1e-5
    assert relative(base, expected) > 0.05


def test_in_bfloat16_the_sum_is_rounded_once() -> None:
    merged, exact = transformer_in(BF16), transformer_in(torch.float32)
    for name, weight in merged.named_parameters():
        exact.get_parameter(name).data = weight.float()
    changes = in_peft(transformer_in(torch.float32), dora=False)
    merge(merged, changes)
    merge(exact, changes)
    for name, weight in merged.named_parameters():
        assert torch.equal(weight, exact.get_parameter(name).to(weight.dtype)), name
    # Half of the last of 7 bits behind the leading one, for each changed weight.
    for name in changes:
        wanted = exact.get_parameter(f"{name}.weight").double()
        error = (merged.get_parameter(f"{name}.weight").double() - wanted).abs()
        assert (error <= wanted.abs() * 2**-8 * (1 + 2**-7)).all()


def test_a_kronecker_product_is_merged_at_a_strength() -> None:
    name, generator = "blocks.1.ffn.net.0.proj", torch.Generator().manual_seed(2)
    left, right = torch.randn(8, 4, generator=generator), torch.randn(16, 16, generator=generator)
    adapted, merged = transformer_in(torch.float32), transformer_in(torch.float32)
    product = torch.einsum("ab,cd->acbd", left, right).reshape(128, 64)

    def add(_layer: nn.Module, inputs: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        return answer + 0.5 * linear(inputs[0], 0.1 * product)

    adapted.get_submodule(name).register_forward_hook(add)
    merge(merged, {name: Kronecker(left, right, scale=0.1)}, strength=0.5)
    assert relative(velocity(merged, torch.float32), velocity(adapted, torch.float32)) < 1e-5


def test_a_bias_is_merged_too_and_strength_0_leaves_the_base() -> None:
    layer = nn.Linear(2, 3)
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    change = Dense(torch.ones(3, 2), torch.arange(3.0), scale=2.0)
    net = nn.Sequential(layer)
    merge(net, {"0": change}, strength=0.0)
    assert torch.equal(layer.weight, before)
    merge(net, {"0": change}, strength=0.5)
    torch.testing.assert_close(layer.weight.data, before + 1)
    torch.testing.assert_close(layer.bias.data, bias + torch.arange(3.0))


def test_the_merged_folder_loads_in_stock_diffusers(tmp_path: Path) -> None:
    merged = transformer_in(BF16)
    merge(merged, in_peft(transformer_in(torch.float32), dora=False))
    save_transformer(tmp_path, merged, metadata={}, shard_bytes=100_000)
    stock = WanTransformer3DModel.from_pretrained(tmp_path, dtype=BF16)
    assert isinstance(stock, WanTransformer3DModel)
    assert torch.equal(velocity(stock, BF16), velocity(merged, BF16))


def test_layers_that_do_not_fit_are_named_before_anything_changes() -> None:
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.LayerNorm(3))
    before = net[0].weight.detach().clone()  # pyright: ignore[reportCallIssue]
    fits = Dense(torch.ones(3, 2))
    with pytest.raises(ModelError) as told:
        merge(net, {"0": fits, "blocks.7.to_q": fits, "1": fits})
    assert "2 problems" in str(told.value)
    assert "blocks.7.to_q: there is no such layer" in str(told.value)
    assert "1: is a LayerNorm, not a linear layer" in str(told.value)
    with pytest.raises(ModelError, match="has no bias"):
        merge(net, {"0": Dense(torch.ones(3, 2), torch.ones(3))})
    with pytest.raises(ModelError, match="0 as a layer of 5 inputs and 3 outputs, which has 2 and 3"):
        merge(net, {"0": Dense(torch.ones(3, 5))})
    assert torch.equal(net[0].weight, before)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("precision", ["int8-quanto", "int8-torchao"])
def test_a_quantized_base_is_not_merged_into(precision: str) -> None:
    pytest.importorskip("torchao")
    pytest.importorskip("optimum.quanto")
    from reeltune.quantize.apply import quantize_linears

    net = nn.Sequential(nn.Linear(16, 16))
    quantize_linears(net, precision, names=["0"])
    with pytest.raises(ModelError, match="base_model_precision=no_change"):
        merge(net, {"0": Dense(torch.ones(16, 16))})
