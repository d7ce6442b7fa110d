"""A transformer of five blocks, and what it answers when some of its tokens go around some of its blocks."""

from __future__ import annotations

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import KeptTokens
from reeltune.families.wan.family import FACTS
from reeltune.families.wan.forward import velocity
from reeltune.families.wan.transformer import number_type
from reeltune.randomness import Draws
from reeltune.routing.choose import choose_tokens
from reeltune.routing.plan import Segment

BLOCKS = 5
TOKENS = 3 * 4 * 6
"""Patches of 3 latent frames of 8x12."""

TWO_ROUTES = (Segment(1, 2, 0.5), Segment(3, 3, 0.25))


def make_transformer(dtype: torch.dtype = torch.float32, *, adapted: bool = False) -> WanTransformer3DModel:
    """Return five blocks with the number types of a base of `dtype`; adapted: with a LoRA that changes the output."""
    torch.manual_seed(3)
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, text_dim=16, ffn_dim=64, num_layers=BLOCKS, freq_dim=32
    )
    for name, parameter in transformer.named_parameters():
        parameter.data = parameter.data.to(number_type(name, dtype))
    if adapted:
        transformer.requires_grad_(False)
        lora = attach_lora(transformer, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=0)
        lora.load({name: 0.3 * torch.randn(p.shape) for name, p in lora.trainable().items()})
    return transformer


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(2, 16, 3, 8, 12, generator=generator)
    text = torch.randn(2, 7, 16, generator=generator)
    return x_t.to(dtype), torch.tensor([300.0, 812.5]), text.to(dtype)


def choose(*segments: Segment) -> tuple[KeptTokens, ...]:
    return choose_tokens(Draws(5), step=1, first_index=0, batch_size=2, tokens=TOKENS, segments=segments)


def answer(
    transformer: WanTransformer3DModel, kept: tuple[KeptTokens, ...], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the output, and the gradients of a loss of it, the input's included."""
    transformer.zero_grad()
    x_t, timestep, text = inputs(dtype)
    x_t.requires_grad_()
    output = velocity(transformer, x_t, timestep, text, kept)
    output.float().square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in transformer.named_parameters() if p.grad is not None}
    assert x_t.grad is not None
    return output.detach(), gradients | {"x_t": x_t.grad}
