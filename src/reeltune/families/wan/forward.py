"""Wan's transformer on fewer tokens: chosen blocks see a part of the video tokens, the others wait unchanged.

Without routes this is the stock forward. With them the same modules are called in the same order on a sequence that is
really shorter between a route's first and last block; keeping every token gives the stock numbers bit for bit.

Source: Krause et al. 2025, arXiv:2501.04765.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from diffusers import WanTransformer3DModel
from jaxtyping import Float, Int64
from torch import Tensor, nn

from reeltune.contracts.batch import KeptTokens
from reeltune.routing.moves import put_back, take

Rotary = tuple[Float[Tensor, "_ _ 1 _"], Float[Tensor, "_ _ 1 _"]]
"""Cosines and sines of the positions (samples or 1, tokens, 1, head width)."""

Advance = Callable[[Iterable[nn.Module], Tensor, Rotary], Tensor]
"""Runs a sequence of tokens, at the given positions, through blocks."""


def velocity(
    transformer: WanTransformer3DModel,
    x_t: Float[Tensor, "B C T h w"],
    timestep: Float[Tensor, " B"],
    text: Float[Tensor, "B L D"],
    kept: tuple[KeptTokens, ...],
) -> Float[Tensor, "B C T h w"]:
    """Return the transformer's answer, with only the kept tokens going through each route's blocks.

    kept: in the order of the blocks, none shared; empty sends every token through every block.
    """
    if not kept:
        return transformer(hidden_states=x_t, timestep=timestep, encoder_hidden_states=text, return_dict=False)[0]
    patches = transformer.patch_embedding(x_t)
    embedded_time, modulation, context, _ = transformer.condition_embedder(timestep, text)
    advance = _advance(transformer, context, modulation.unflatten(1, (6, -1)))
    # Always a copy, as a route from the first block on writes over it; `contiguous` makes one only where it must.
    tokens = patches.flatten(2).transpose(1, 2).clone(memory_format=torch.contiguous_format)
    tokens = _through_blocks(transformer.blocks, tokens, transformer.rope(x_t), kept=kept, advance=advance)
    return _unpatched(transformer, _head(transformer, tokens, embedded_time), patches.shape[2:])


def _through_blocks(
    blocks: nn.ModuleList,
    tokens: Float[Tensor, "B S E"],
    rotary: Rotary,
    *,
    kept: tuple[KeptTokens, ...],
    advance: Advance,
) -> Float[Tensor, "B S E"]:
    """Run all tokens through the blocks between the routes, and a route's tokens through its own."""
    done = 0
    for route in kept:
        assert done <= route.first <= route.last < len(blocks), route
        ids = route.ids.to(tokens.device, non_blocking=True)
        tokens = advance(blocks[done : route.first], tokens, rotary)
        taken, tokens = take(tokens, ids)
        routed = advance(blocks[route.first : route.last + 1], taken, _positions(rotary, ids))
        tokens = put_back(tokens, routed, ids)
        done = route.last + 1
    return advance(blocks[done:], tokens, rotary)


def _advance(transformer: WanTransformer3DModel, context: Tensor, modulation: Tensor) -> Advance:
    """Return how blocks are run for one batch: as the transformer is set, with recomputation or without."""
    wanted = torch.is_grad_enabled() and transformer.gradient_checkpointing
    recomputed = transformer._gradient_checkpointing_func if wanted else None

    def advance(blocks: Iterable[nn.Module], tokens: Tensor, rotary: Rotary) -> Tensor:
        for block in blocks:
            inputs = (tokens, context, modulation, rotary)
            tokens = recomputed(block, *inputs) if recomputed else block(*inputs)
        return tokens

    return advance


def _positions(rotary: Rotary, ids: Int64[Tensor, "B K"]) -> Rotary:
    cosines, sines = rotary
    return cosines[0][ids], sines[0][ids]


def _head(
    transformer: WanTransformer3DModel, tokens: Float[Tensor, "B S E"], embedded_time: Float[Tensor, "B E"]
) -> Float[Tensor, "B S P"]:
    """Return each token's patch of the answer. P: numbers in a patch, all channels."""
    shift, scale = (transformer.scale_shift_table + embedded_time[:, None]).unbind(1)
    normed = transformer.norm_out(tokens.float()) * (1 + scale[:, None]) + shift[:, None]
    return transformer.proj_out(normed.to(tokens.dtype))


def _unpatched(
    transformer: WanTransformer3DModel, patches: Float[Tensor, "B S P"], grid: torch.Size
) -> Float[Tensor, "B C T h w"]:
    """Lay patches, each in the order frame, row, column, channel, out on the grid that they came from."""
    apart = patches.unflatten(-1, (*transformer.config["patch_size"], -1)).unflatten(1, grid)
    laid_out = apart.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return laid_out.flatten(6, 7).flatten(4, 5).flatten(2, 3)
