"""What only a CUDA device can show of a quantized base: its memory while it is loaded, and gradients through it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch.nn.functional import cosine_similarity

from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.families.opening import Opening
from reeltune.families.wan.description import FACTS
from reeltune.families.wan.family import Wan
from reeltune.families.wan.parts import WanParts
from reeltune.quantize.apply import PRECISIONS
from reeltune.quantize.stored import stored_bytes

pytest.importorskip("torchao")
pytest.importorskip("optimum.quanto")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch sees none"),
]

DEVICE = torch.device("cuda")
MB = 10**6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer of two blocks that are 1024 wide: 50 million weights in them."""
    folder = tmp_path_factory.mktemp("transformer")
    WanTransformer3DModel(
        num_attention_heads=16, attention_head_dim=64, ffn_dim=8192, num_layers=2, text_dim=64
    ).save_pretrained(folder)
    return folder


def opened(folder: Path, precision: str, via: str = "cpu") -> Wan:
    parts = WanParts(folder, folder, folder, folder, folder)
    return Wan(parts, Opening(torch.bfloat16, base_precision=precision, quantize_via=via))


def gradients(wan: Wan) -> torch.Tensor:
    transformer = wan.load_transformer(DEVICE).train()
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=1)
    generator = torch.Generator().manual_seed(2)
    lora.load({name: 0.1 * torch.randn(p.shape, generator=generator) for name, p in lora.trainable().items()})
    latents, text = torch.randn(1, 16, 2, 8, 8, generator=generator), torch.randn(1, 9, 64, generator=generator)
    sigma = torch.tensor([500.0], device=DEVICE)
    latents, text = latents.to(DEVICE, torch.bfloat16), text.to(DEVICE, torch.bfloat16)
    transformer(latents, sigma, text, return_dict=False)[0].float().square().mean().backward()
    parts = [parameter.grad for parameter in lora.trainable().values()]
    return torch.cat([part.flatten().float() for part in parts if part is not None])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_by_way_of_the_host_the_device_never_holds_a_whole_layer(folder: Path, precision: str) -> None:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    transformer = opened(folder, precision).load_transformer(DEVICE)
    # A feed-forward weight is 8 MB in 8 bits and 17 MB in bfloat16. 4 MB: what the allocator rounds up, tables.
    assert torch.cuda.max_memory_allocated() - before < stored_bytes(transformer) + 4 * MB


@pytest.mark.parametrize("via", ["cpu", "accelerator"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_are_those_of_the_unquantized_base(folder: Path, precision: str, via: str) -> None:
    wan = opened(folder, precision, via)
    tensors = list(wan.load_transformer(DEVICE).parameters())
    assert {tensor.device.type for tensor in tensors} == {"cuda"}
    least = 0.99 if precision.startswith("int8") else 0.98
    assert cosine_similarity(gradients(wan), gradients(opened(folder, "no_change")), dim=0) >= least


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_rounding_error_is_measured_on_the_device(folder: Path, precision: str) -> None:
    wan = opened(folder, precision)
    error = wan.rounding_error(wan.load_transformer(DEVICE), DEVICE)
    assert error is not None
    assert 1e-3 < error < 0.1
