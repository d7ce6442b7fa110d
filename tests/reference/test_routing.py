"""Routing equals the stock forward when every token is kept, and a plain loop over single samples when some are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from helpers.routed import BLOCKS, TOKENS, TWO_ROUTES, answer, choose, inputs, make_transformer
from reeltune.contracts.batch import KeptTokens
from reeltune.families.wan.forward import velocity
from reeltune.routing.plan import Segment


def assert_same(ours: tuple[Tensor, dict[str, Tensor]], theirs: tuple[Tensor, dict[str, Tensor]]) -> None:
    assert torch.equal(ours[0], theirs[0])
    assert ours[1].keys() == theirs[1].keys()
    assert [name for name in ours[1] if not torch.equal(ours[1][name], theirs[1][name])] == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("adapted", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
def test_keeping_every_token_gives_the_stock_numbers_bit_for_bit(dtype, adapted, checkpointing) -> None:
    transformer = make_transformer(dtype, adapted=adapted)
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    x_t, timestep, text = inputs(dtype)
    with torch.no_grad():
        (stock,) = transformer(x_t, timestep, text, return_dict=False)
    without = answer(transformer, (), dtype)
    assert torch.equal(without[0], stock)
    everything = choose(Segment(1, 2, 0.0), Segment(3, 4, 0.0))
    assert all(route.ids.shape == (2, TOKENS) for route in everything)
    assert_same(answer(transformer, everything, dtype), without)
    # A check of the check: half of the tokens give other numbers.
    assert not torch.equal(answer(transformer, choose(Segment(1, 2, 0.5)), dtype)[0], stock)


@pytest.mark.parametrize("adapted", [False, True], ids=["whole", "lora"])
def test_recomputation_gives_the_same_numbers_with_routes(adapted: bool) -> None:
    transformer = make_transformer(adapted=adapted)
    plain = answer(transformer, choose(*TWO_ROUTES))
    transformer.enable_gradient_checkpointing()
    assert_same(answer(transformer, choose(*TWO_ROUTES)), plain)


def one_by_one(transformer: WanTransformer3DModel, kept: tuple[KeptTokens, ...]) -> Iterator[Tensor]:
    """Yield each sample's answer by the plainest code: one sample, one block and one boolean mask at a time."""
    for sample, (x_t, timestep, text) in enumerate(zip(*inputs(), strict=True)):
        x_t, timestep, text = x_t[None], timestep[None], text[None]
        cosines, sines = transformer.rope(x_t)
        tokens = transformer.patch_embedding(x_t).flatten(2).transpose(1, 2)
        time, modulation, context, _ = transformer.condition_embedder(timestep, text)
        for number, block in enumerate(transformer.blocks):
            mask = torch.ones(TOKENS, dtype=torch.bool)
            for route in kept:
                if route.first <= number <= route.last:
                    mask = torch.zeros(TOKENS, dtype=torch.bool)
                    mask[route.ids[sample]] = True
            routed = block(tokens[:, mask], context, modulation.reshape(1, 6, -1), (cosines[:, mask], sines[:, mask]))
            tokens = tokens.clone()
            tokens[:, mask] = routed
        shift, scale = (transformer.scale_shift_table + time[:, None]).chunk(2, dim=1)
        patches = transformer.proj_out(transformer.norm_out(tokens) * (1 + scale) + shift)
        video = torch.zeros(1, 16, 3, 8, 12)
        for place, patch in enumerate(patches[0].reshape(TOKENS, 2, 2, 16)):
            frame, row, column = place // 24, place // 6 % 4, place % 6
            video[0, :, frame, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = patch.permute(2, 0, 1)
        yield video


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(1, 3, 0.5),),
        TWO_ROUTES,
        (Segment(0, 4, 0.9),),
        (Segment(0, 0, 0.1), Segment(4, 4, 0.5)),
    ],
    ids=str,
)
def test_routes_equal_a_plain_loop_over_samples(segments: tuple[Segment, ...]) -> None:
    transformer, kept = make_transformer(), choose(*segments)
    output, gradients = answer(transformer, kept)
    transformer.zero_grad()
    expected = torch.cat(list(one_by_one(transformer, kept)))
    expected.square().mean().backward()
    # Two samples at once and one at a time add up in another order: a few units in the last of float32's 24 bits.
    torch.testing.assert_close(output, expected.detach(), rtol=1e-5, atol=1e-6)
    for name, parameter in transformer.named_parameters():
        assert parameter.grad is not None, name
        assert (gradients[name] - parameter.grad).norm() < 1e-5 * parameter.grad.norm(), name


def lengths_seen(transformer: WanTransformer3DModel) -> list[int]:
    """Return a list that grows by the number of tokens whenever a block's attention is called."""
    seen: list[int] = []
    for block in transformer.blocks:
        assert isinstance(block.attn1, nn.Module)
        block.attn1.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    return seen


def test_routed_blocks_attend_over_the_kept_tokens_only() -> None:
    transformer = make_transformer()
    seen = lengths_seen(transformer)
    answer(transformer, choose(*TWO_ROUTES))
    assert seen == [72, 36, 36, 54, 72]


def test_recomputation_runs_each_block_once_more_on_the_same_tokens() -> None:
    transformer = make_transformer()
    transformer.enable_gradient_checkpointing()
    seen = lengths_seen(transformer)
    answer(transformer, choose(*TWO_ROUTES))
    assert seen == [72, 36, 36, 54, 72, 72, 54, 36, 36, 72]


def test_gradient_reaches_every_part_of_the_input() -> None:
    kept = choose(Segment(0, BLOCKS - 1, 0.5))
    _, gradients = answer(make_transformer(), kept)
    patches = gradients["x_t"].unfold(3, 2, 2).unfold(4, 2, 2)
    assert patches.shape == (2, 16, 3, 4, 6, 2, 2)
    assert bool((patches.abs().sum(dim=(1, 5, 6)) > 0).all())


def test_dropped_tokens_are_what_they_were_before_the_route() -> None:
    transformer, (route,) = make_transformer(), choose(Segment(0, BLOCKS - 1, 0.5))
    x_t, timestep, text = inputs()
    dropped = torch.ones(2, TOKENS, dtype=torch.bool).scatter(1, route.ids, False).view(2, 1, 3, 4, 6)
    pixels = dropped.repeat_interleave(2, 3).repeat_interleave(2, 4)
    with torch.no_grad():
        before = velocity(transformer, x_t, timestep, text, (route,))
        after = velocity(transformer, torch.where(pixels, x_t, x_t + 1), timestep, text, (route,))
    # Routed around every block, a token's answer depends on its own patch alone, and none of those was changed.
    same = (before == after).all(dim=1, keepdim=True)
    assert torch.equal(same, pixels)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
def test_what_is_learnt_is_the_same_when_nothing_before_the_route_has_a_gradient(checkpointing: bool) -> None:
    transformer, kept = make_transformer(adapted=True), choose(Segment(0, 2, 0.5), Segment(3, 4, 0.25))
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    output, gradients = answer(transformer, kept)
    transformer.zero_grad()
    alone = velocity(transformer, *inputs(), kept)
    alone.square().mean().backward()
    found = {name: p.grad for name, p in transformer.named_parameters() if p.grad is not None}
    assert_same((alone.detach(), found), (output, {name: g for name, g in gradients.items() if name != "x_t"}))
