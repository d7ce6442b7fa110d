"""Routing equals masking: every token in every block, dropped ones hidden as keys and their change multiplied by zero.

In float64 throughout, for what the model and the routed forward cast to float32 on their way is left as it is here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.routed import BLOCKS, TOKENS, TWO_ROUTES, answer, choose, inputs, make_transformer
from reeltune.adapters.layers import layers_of
from reeltune.adapters.lora import attach_lora
from reeltune.adapters.lycoris import attach_lycoris
from reeltune.config.adapter import AdapterOptions
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.contracts.batch import KeptTokens
from reeltune.families.wan.family import FACTS
from reeltune.families.wan.forward import velocity
from reeltune.quantize.apply import quantize_linears
from reeltune.quantize.rules import quantized_names
from reeltune.routing.plan import Segment

ROUTES = {
    "one": (Segment(1, 3, 0.5),),
    "back to back": TWO_ROUTES,
    "every block": (Segment(0, 2, 0.5), Segment(3, 4, 0.9)),
    "first and last": (Segment(0, 0, 0.1), Segment(4, 4, 0.5)),
}


class HidingKeys(WanAttnProcessor):
    """The stock attention, in which every token sees the tokens of a mask only. mask: (B, 1, 1, S), True is seen."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None) -> Tensor:
        return super().__call__(attn, hidden_states, encoder_hidden_states, self.mask, rotary_emb)


def hide(block: nn.Module, ids: Tensor) -> None:
    """Let a block see the kept tokens only, and change no other."""
    assert isinstance(block.attn1, nn.Module)
    kept = torch.zeros(len(ids), TOKENS, dtype=torch.bool).scatter(1, ids, True)
    block.attn1.processor = HidingKeys(kept[:, None, None])  # pyright: ignore[reportArgumentType]
    block.register_forward_hook(lambda module, given, out: given[0] + kept[..., None] * (out - given[0]))


def masked(transformer: WanTransformer3DModel, kept: tuple[KeptTokens, ...]) -> WanTransformer3DModel:
    """Return the transformer with the routes' blocks masked; its stock forward is the reference."""
    for route in kept:
        for block in transformer.blocks[route.first : route.last + 1]:
            hide(block, route.ids)
    return transformer


def gradients(transformer: nn.Module, ask: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    x_t = inputs(torch.float64)[0].requires_grad_()
    output = ask(x_t)
    output.square().mean().backward()
    assert x_t.grad is not None
    found = {name: p.grad for name, p in transformer.named_parameters() if p.grad is not None}
    return output.detach(), found | {"x_t": x_t.grad}


@pytest.mark.parametrize("segments", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize(("adapted", "checkpointing"), [(False, False), (True, True)], ids=["whole", "lora recomputed"])
def test_output_and_every_gradient_are_those_of_masking(segments, adapted, checkpointing, monkeypatch) -> None:
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    kept = choose(*segments)
    _, timestep, text = inputs(torch.float64)
    routed = make_transformer(adapted=adapted).double()
    if checkpointing:
        routed.enable_gradient_checkpointing()
    reference = masked(make_transformer(adapted=adapted).double(), kept)
    ours = gradients(routed, lambda x_t: velocity(routed, x_t, timestep, text, kept))
    theirs = gradients(reference, lambda x_t: reference(x_t, timestep, text, return_dict=False)[0])
    assert ours[0].dtype == torch.float64
    # Sums of up to 72 numbers in another order, a few units of 1e-16 each; float32 anywhere would show as 1e-7.
    assert (ours[0] - theirs[0]).norm() < 1e-12 * theirs[0].norm()
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        assert (ours[1][name] - gradient).norm() < 1e-11 * gradient.norm(), name
    patches = ours[1]["x_t"].unfold(3, 2, 2).unfold(4, 2, 2)
    assert bool((patches.abs().sum(dim=(1, 5, 6)) > 0).all())


def lokr(transformer: WanTransformer3DModel) -> None:
    transformer.requires_grad_(False)
    config = lycoris_of(
        {
            "algo": "lokr",
            "multiplier": 1.0,
            "full_matrix": True,
            "linear_dim": 4,
            "linear_alpha": 4,
            "factor": 4,
            "apply_preset": {"target_module": ["WanAttention"]},
        }
    )
    adapter = attach_lycoris(transformer, config, chosen_for_lycoris(layers_of(transformer), config, FACTS), seed=0)
    adapter.load({name: 0.3 * torch.randn(p.shape) for name, p in adapter.trainable().items()})


def lora_on_int8(transformer: WanTransformer3DModel) -> None:
    transformer.requires_grad_(False)
    quantize_linears(transformer, "int8-torchao", names=quantized_names(transformer, FACTS.blocks))
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4), FACTS.adapter_targets, seed=0)
    lora.load({name: 0.3 * torch.randn(p.shape) for name, p in lora.trainable().items()})


KINDS = {
    "lokr": (lokr, torch.float32, False),
    "lokr in bfloat16, recomputed": (lokr, torch.bfloat16, True),
    "lora on int8, recomputed": (lora_on_int8, torch.float32, True),
}


@pytest.mark.parametrize(("attach", "dtype", "checkpointing"), KINDS.values(), ids=KINDS)
def test_other_adapters_and_bases_are_routed_as_masking_says(attach, dtype, checkpointing) -> None:
    if attach is lora_on_int8:
        pytest.importorskip("torchao")
    kept = choose(Segment(0, 2, 0.5), Segment(3, 3, 0.25))
    pair = [make_transformer(dtype), make_transformer(dtype)]
    for transformer in pair:
        torch.manual_seed(7)
        attach(transformer)
    routed, reference = pair[0], masked(pair[1], kept)
    if checkpointing:
        routed.enable_gradient_checkpointing()
    output, ours = answer(routed, kept, dtype)
    stock_output, theirs = answer(reference, (), dtype)
    # Of float32's 24 bits a few are lost to another order; bfloat16 has 8, and each block rounds.
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    assert (output - stock_output).float().norm() < tolerance * stock_output.float().norm()
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).float().norm() < 2 * tolerance * gradient.float().norm(), name


class Whole(TorchDispatchMode):
    """Counts results of the size of all tokens; `index_copy_` writes the moved rows alone, and is counted by them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        written = args[3] if func is torch.ops.aten.index_copy_.default else out
        if isinstance(written, Tensor) and not func.is_view and written.numel() == 2 * TOKENS * 32:
            self.count += 1
        return out


@pytest.mark.parametrize(
    ("dtype", "adapted", "checkpointing"),
    [(torch.float32, False, False), (torch.float32, True, True), (torch.bfloat16, True, False)],
    ids=["whole", "lora recomputed", "lora in bfloat16"],
)
def test_a_route_works_on_no_sequence_of_full_length(adapted: bool, checkpointing: bool, dtype: torch.dtype) -> None:
    """Forward and backward make as many full sequences as a model that has no such blocks at all."""
    routed, shorter = (make_transformer(dtype, adapted=adapted) for _ in range(2))
    for number in sorted(range(1, BLOCKS - 1), reverse=True):
        del shorter.blocks[number]
    counts = []
    # Shares with which no tensor of a routed block, such as the feed-forward's, happens to have that size too.
    for transformer, kept in ((routed, choose(Segment(1, 2, 0.25), Segment(3, 3, 0.4))), (shorter, ())):
        if checkpointing:
            transformer.enable_gradient_checkpointing()
        answer(transformer, kept, dtype)
        with Whole() as whole:
            answer(transformer, kept, dtype)
        counts.append(whole.count)
    assert counts[0] == counts[1] > 10
