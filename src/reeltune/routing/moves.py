"""Move a part of the tokens aside and back in place: what is read and written grows with the tokens that are moved.

`take` and `put_back` are a pair. Between them nobody else uses the tokens; after them the tokens are the same memory
with other rows. The gradient goes the same way backward: rows out, rows back, in the buffer in which it arrived.

A gradient that arrives may be shared, for one addition hands the same buffer to both of its sides. Then it is copied
first, which is one more pass over all tokens. The blocks of Wan add up two contributions to their input and norms make
gradients of their own, so there it never is.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

Holders = tuple[int, int, int]
"""How many hold a tensor, its memory, and its Python object."""


def take(
    tokens: Float[Tensor, "B S E"], ids: Int64[Tensor, "B K"]
) -> tuple[Float[Tensor, "B K E"], Float[Tensor, "B S E"]]:
    """Return a copy of each sample's tokens at `ids`, and the tokens, for `put_back` alone.

    tokens: contiguous, no view of another tensor, and not needed in another place; their memory is written over later.
    ids: of different tokens within a sample.
    """
    _holders_of_one(tokens.device)  # Now: learning it takes a backward pass, and in the midst of one it would be late.
    taken, tokens = _Take.apply(tokens, rows(ids, tokens.shape[1]))
    return taken.unflatten(0, ids.shape), tokens


def put_back(
    tokens: Float[Tensor, "B S E"], routed: Float[Tensor, "B K E"], ids: Int64[Tensor, "B K"]
) -> Float[Tensor, "B S E"]:
    """Write each sample's routed tokens over the tokens at `ids`, in place; return the same memory.

    tokens: as `take` gave them back for the same ids.
    """
    return _PutBack.apply(tokens, routed.flatten(0, 1), rows(ids, tokens.shape[1]))


def rows(ids: Int64[Tensor, "B K"], length: int) -> Int64[Tensor, " BK"]:
    """Return the places of tokens when the samples, of `length` tokens each, are laid one after the other."""
    starts = length * torch.arange(len(ids), device=ids.device)
    return (starts[:, None] + ids).flatten()


class _Take(Function):
    """Tokens -> (rows of them, tokens). Backward: the rows' gradient is written over that of the tokens."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(places)
        # The tokens themselves go on, so that their gradient comes through here on its way back.
        ctx.mark_dirty(tokens)
        return tokens.flatten(0, 1).index_select(0, places), tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, taken: Tensor, tokens: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        alone = tokens.is_contiguous() and _holders(tokens) == _holders_of_one(tokens.device)
        own = tokens if alone else tokens.clone(memory_format=torch.contiguous_format)
        own.flatten(0, 1).index_copy_(0, places, taken)
        return own, None


class _PutBack(Function):
    """(Tokens, rows) -> tokens with these rows. Backward: a copy of the rows' gradient, and the whole as it came.

    The moved rows of the whole should be zeros. They are left, for `_Take` writes over them.
    """

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, routed: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.mark_dirty(tokens)
        tokens.flatten(0, 1).index_copy_(0, places, routed)
        return tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tokens: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (places,) = ctx.saved_tensors
        return tokens, tokens.flatten(0, 1).index_select(0, places), None


class _Watch(Function):
    """Note by how many a gradient is held that nobody but autograd knows. Its backward has the frames of `_Take`'s."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, found: list[Holders]) -> Tensor:
        ctx.found = found
        return tokens.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tokens: Tensor) -> tuple[Tensor, None]:
        ctx.found.append(_holders(tokens))
        return tokens, None


@functools.cache
def _holders_of_one(device: torch.device) -> Holders:
    """Return by how many a gradient is held in `_Take.backward` when it is nobody else's.

    Learnt once from a gradient of one number: it differs between versions of Python and torch, and may between the
    threads in which devices go backward.
    """
    found: list[Holders] = []
    with torch.enable_grad():
        # A product, whose gradient is a new tensor.
        (2 * _Watch.apply(torch.ones(1, device=device, requires_grad=True), found)).sum().backward()
    return found[0]


def _holders(tensor: Tensor) -> Holders:
    """Return by how many a tensor, its memory and its Python object are held: what autograd itself goes by."""
    storage = tensor.untyped_storage()
    uses = tensor._use_count()  # pyright: ignore[reportAttributeAccessIssue]
    return uses, torch._C._storage_Use_Count(storage._cdata), sys.getrefcount(tensor)
