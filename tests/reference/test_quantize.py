"""Frozen layers in eight bits give the outputs, and the adapters on top the gradients, of the unquantized ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from reeltune.adapters.about import About
from reeltune.adapters.changes import LowRank
from reeltune.adapters.layouts import write_adapter
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.family import RenderRequest
from reeltune.demo.model import make_text_encoder, make_transformer
from reeltune.families.wan.family import Wan
from reeltune.quantize.apply import PRECISIONS, quantize_linears
from reeltune.quantize.rules import encoder_names, quantized_names

pytest.importorskip("torchao")
pytest.importorskip("optimum.quanto")

CPU = torch.device("cpu")
REQUEST = RenderRequest(
    prompt=torch.linspace(-1, 1, 160).view(5, 32),
    negative=torch.zeros(1, 32),
    width=96,
    height=64,
    frames=5,
    steps=2,
    guidance=5.0,
    seed=1,
    flow_shift=None,
)
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
ERROR = {"int8": 0.015, "fp8": 0.05}
"""Relative error of an output. Rounding to 255 levels leaves 0.4 % of weights that are spread evenly, to 4 significant
bits 2.6 %; the tiny model's blocks neither add up nor average out much of it, and bfloat16 adds 0.7 %."""
COSINE = {"int8": 0.999, "fp8": 0.99}


def kind(precision: str) -> str:
    return precision.split("-")[0]


def transformer_of(dtype: torch.dtype, *, blocks: int = 3) -> nn.Module:
    """Return a frozen transformer with the same random weights at each call."""
    torch.manual_seed(5)
    transformer = make_transformer(blocks).requires_grad_(False)
    in_float32 = set(WanTransformer3DModel._keep_in_fp32_modules or ())
    for name, parameter in transformer.named_parameters():
        if not in_float32.intersection(name.split(".")):
            parameter.data = parameter.data.to(dtype)
    return transformer


def quantized(precision: str, dtype: torch.dtype, *, blocks: int = 3) -> nn.Module:
    transformer = transformer_of(dtype, blocks=blocks)
    quantize_linears(transformer, precision, names=quantized_names(transformer, "blocks"))
    return transformer


def velocity(transformer: nn.Module, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(2, 16, 3, 8, 12, generator=generator).to(dtype)
    text = torch.randn(2, 9, 32, generator=generator).to(dtype)
    return transformer(latents, torch.tensor([300.0, 800.0]), text, return_dict=False)[0].float()


def adapted(transformer: nn.Module) -> Lora:
    """Attach an adapter that changes much, and is the same at each call."""
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4), TARGETS, seed=1)
    generator = torch.Generator().manual_seed(7)
    lora.load({name: 0.3 * torch.randn(p.shape, generator=generator) for name, p in lora.trainable().items()})
    return lora


def gradients(transformer: nn.Module, dtype: torch.dtype) -> Tensor:
    lora = adapted(transformer)
    transformer.train()
    transformer.enable_gradient_checkpointing()  # pyright: ignore[reportCallIssue]
    velocity(transformer, dtype).square().mean().backward()
    parts = [parameter.grad for parameter in lora.trainable().values()]
    return torch.cat([part.flatten() for part in parts if part is not None]).double()


def relative(value: Tensor, reference: Tensor) -> float:
    return ((value.double() - reference.double()).norm() / reference.double().norm()).item()


def stored_bytes(tensor: Tensor) -> Iterator[int]:
    """Yield the sizes of the plain tensors that a weight is made of."""
    if is_traceable_wrapper_subclass(tensor):
        for name in tensor.__tensor_flatten__()[0]:
            yield from stored_bytes(getattr(tensor, name))
    else:
        yield tensor.nbytes


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_weight_is_within_the_rounding_of_its_format(precision: str) -> None:
    module = nn.Sequential(nn.Linear(96, 64, bias=False))
    weight = module[0].weight.detach().clone()  # pyright: ignore[reportCallIssue]
    weight[0] *= 1000  # a row has its own scale: an outlier here must not cost the others their digits
    with torch.no_grad():
        module[0].weight.copy_(weight)  # pyright: ignore[reportCallIssue, reportArgumentType]
    quantize_linears(module, precision, names=["0"])
    # The response to the unit vectors is the weight as it is used.
    error = (module(torch.eye(96)).T - weight).double().abs()
    largest = weight.double().abs().amax(1, keepdim=True)
    if kind(precision) == "int8":
        allowed = (largest / 254).expand_as(error)  # half of one of 127 steps to each side
    else:
        # Half of the last of 3 bits behind the leading one; for the smallest numbers, half of the smallest step.
        allowed = torch.maximum(weight.double().abs() * 2**-4, largest / 448 * 2**-10)
    assert (error <= 1.001 * allowed).all()
    assert (error > 0).double().mean() > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_velocity_is_that_of_the_unquantized_base(precision: str, dtype: torch.dtype) -> None:
    with torch.no_grad():
        expected = velocity(transformer_of(torch.float32), torch.float32)
        result = velocity(quantized(precision, dtype), dtype)
    assert 1e-3 < relative(result, expected) < ERROR[kind(precision)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_adapters_gradients_are_those_of_the_unquantized_base(precision: str, dtype: torch.dtype) -> None:
    expected = gradients(transformer_of(dtype), dtype)
    result = gradients(quantized(precision, dtype), dtype)
    assert torch.nn.functional.cosine_similarity(result, expected, dim=0) >= COSINE[kind(precision)]
    assert relative(result, expected) < 3 * ERROR[kind(precision)]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_outside_the_blocks_are_untouched_and_those_inside_take_a_byte(precision: str) -> None:
    before = dict(transformer_of(torch.bfloat16).named_parameters())
    transformer = quantized(precision, torch.bfloat16)
    names = {f"{name}.weight" for name in quantized_names(transformer, "blocks")}
    for name, parameter in transformer.named_parameters():
        assert not parameter.requires_grad, name
        assert parameter.device == before[name].device
        if name in names:
            # Beside each byte of 64 a scale and a zero for every row, of at most 4 bytes and 1.
            assert sum(stored_bytes(parameter)) <= parameter.numel() * (1 + 5 / 64)
        else:
            assert torch.equal(parameter, before[name]), name
    assert before.keys() == dict(transformer.named_parameters()).keys()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_quantized_base_can_be_moved_with_its_adapter(precision: str) -> None:
    transformer = quantized(precision, torch.bfloat16)
    adapted(transformer)
    with torch.no_grad():
        before = velocity(transformer, torch.bfloat16)
        transformer.to("cpu")
        assert torch.equal(velocity(transformer, torch.bfloat16), before)
    transformer.to("meta")
    tensors = [*transformer.parameters(), *transformer.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_text_encoder_in_eight_bits_says_the_same(precision: str, dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(2)
    original = make_text_encoder(50).eval()
    original.save_pretrained(tmp_path)
    # In float16 the library keeps one layer of each block in float32.
    encoder = type(original).from_pretrained(tmp_path, dtype=dtype).eval()
    embedding = encoder.shared.weight.clone()
    tokens = torch.tensor([[3, 7, 11, 49, 1]])
    with torch.no_grad():
        expected = original(tokens).last_hidden_state
        quantize_linears(encoder, precision, names=encoder_names(encoder))
        result = encoder(tokens).last_hidden_state
    # Its weights are normal variables: the largest of a row, which sets the step, is farther from the rest.
    assert 1e-3 < relative(result, expected) < 2 * ERROR[kind(precision)]
    assert torch.equal(encoder.shared.weight, embedding)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_putting_on_an_adapter_warns_of_nothing(precision: str) -> None:
    transformer = quantized(precision, torch.bfloat16, blocks=1)
    with warnings.catch_warnings(record=True) as caught:
        adapted(transformer)
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_second_adapter_is_rendered_on_the_quantized_base_as_on_the_other(
    precision: str, wan: Wan, tmp_path: Path
) -> None:
    plain, eight_bit = wan.load_transformer(CPU), wan.load_transformer(CPU)
    quantize_linears(eight_bit, precision, names=quantized_names(eight_bit, wan.facts.blocks))
    lora = adapted(eight_bit)
    path = tmp_path / "shown.safetensors"
    negative = {
        name: LowRank(change.down, -change.up, change.scale)
        for name, change in lora.changes().items()
        if isinstance(change, LowRank)
    }
    write_adapter(path, negative, "diffusers", About("some/base", "4fe", "lora"), wan.facts)
    with torch.no_grad():
        before = velocity(eight_bit, torch.float32)
    with wan.renderer(plain, CPU) as render:
        expected = render(REQUEST, path).astype(float)
    with wan.renderer(eight_bit, CPU) as render:
        bare, shown = (render(REQUEST, adapter).astype(float) for adapter in (None, path))
    assert abs(shown - expected).mean() < abs(shown - bare).mean() / 4
    with torch.no_grad():
        assert torch.equal(velocity(eight_bit, torch.float32), before)
    velocity(eight_bit, torch.float32).square().mean().backward()
    assert all(parameter.grad is not None for parameter in lora.trainable().values())
