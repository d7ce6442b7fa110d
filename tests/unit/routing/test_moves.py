"""Tokens moved in place: right numbers and gradients, and nobody else's gradient is written over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import layer_norm
from torch.utils._python_dispatch import TorchDispatchMode

from reeltune.routing.moves import put_back, take

IDS = torch.tensor([[0, 2, 5], [1, 4, 5]])
SHAPE = (2, 6, 4)


def moved(tokens: Tensor, ids: Tensor = IDS) -> Tensor:
    """Change the tokens at `ids` by something that mixes them, in place."""
    taken, tokens = take(tokens, ids)
    return put_back(tokens, taken + taken.mean(1, keepdim=True).tanh() * taken, ids)


def plainly(tokens: Tensor, ids: Tensor = IDS) -> Tensor:
    """Do the same as `moved` with torch's own gather and scatter, out of place."""
    places = ids[..., None].expand(-1, -1, tokens.shape[2])
    taken = tokens.gather(1, places)
    return tokens.scatter(1, places, taken + taken.mean(1, keepdim=True).tanh() * taken)


def start() -> Tensor:
    return torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)


def test_rows_are_taken_and_put_back_in_the_same_memory() -> None:
    tokens = torch.arange(48.0).view(SHAPE)
    expected, memory = plainly(tokens), tokens.data_ptr()
    taken, passed = take(tokens, IDS)
    assert taken[:, :, 0].tolist() == [[0, 8, 20], [28, 40, 44]]
    after = put_back(passed, taken + taken.mean(1, keepdim=True).tanh() * taken, IDS)
    assert torch.equal(after, expected)
    assert after.data_ptr() == memory


TAILS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": lambda tokens, other: layer_norm(tokens, SHAPE[2:]),
    "block": lambda tokens, other: tokens + layer_norm(tokens, SHAPE[2:]).sin(),
    "sum": lambda tokens, other: tokens.sum(),
    "shared gradient": lambda tokens, other: tokens + other.sin(),
    "shared gradient of a leaf": lambda tokens, other: tokens + other,
    "gradient in shared memory": lambda tokens, other: tokens.view(12, 4) + other.view(12, 4),
    "gradient in another order": lambda tokens, other: tokens.transpose(1, 2).contiguous() * 3,
    "two routes": lambda tokens, other: layer_norm(moved(tokens, IDS.flip(0)), SHAPE[2:]),
    "two routes and a shared gradient": lambda tokens, other: moved(tokens, IDS.flip(0)) + other.sin(),
}
"""What comes after a route, from tokens and another tensor with a gradient."""


@pytest.mark.parametrize("before_route", [True, False], ids=["other before", "other after"])
@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_gradients_are_those_of_gather_and_scatter(tail, before_route: bool) -> None:
    """The other side's gradient comes whole too, whichever of the two sides autograd asks first."""
    results = []
    torch.manual_seed(1)
    values = torch.randn(2, *SHAPE, dtype=torch.float64)
    for change in (moved, plainly):
        first, second = (value.clone().requires_grad_() for value in values)
        if before_route:
            other = second * 2
            tokens = change(first * 1.5)
        else:
            tokens = change(first * 1.5)
            other = second * 2
        out = tail(tokens, other)
        (out * torch.linspace(0.5, 2, out.numel(), dtype=torch.float64).view_as(out)).sum().backward()
        results.append((out.detach(), first.grad, second.grad))
    (out, first, second), (out_of_ours, first_of_ours, second_of_ours) = reversed(results)
    # The same operations but for the order of one sum of gradients.
    torch.testing.assert_close(out_of_ours, out, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(first_of_ours, first, rtol=1e-13, atol=1e-13)
    if second is None:
        assert second_of_ours is None
    else:
        torch.testing.assert_close(second_of_ours, second, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("holding", [lambda g: g, lambda g: g.view(-1)], ids=["itself", "a view"])
def test_a_gradient_that_somebody_holds_is_not_written_over(holding) -> None:
    held, copies = [], []

    def keep(gradient: Tensor) -> None:
        held.append(holding(gradient))
        copies.append(held[0].clone())

    tokens = moved(start() * 1)
    tokens.register_hook(keep)
    layer_norm(tokens, SHAPE[2:]).square().sum().backward()
    assert torch.equal(held[0], copies[0])


def test_a_gradient_that_is_handed_in_is_not_written_over() -> None:
    mine = torch.randn(SHAPE, dtype=torch.float64)
    before = mine.clone()
    moved(start() * 1).backward(mine)
    assert torch.equal(mine, before)


def test_the_gradient_is_that_of_differences() -> None:
    assert gradcheck(lambda tokens: moved(moved(tokens * 1), IDS.flip(0)), [start()])


def test_the_graph_can_be_gone_through_twice() -> None:
    tokens = start()
    loss = moved(tokens * 1).square().sum()
    loss.backward(retain_graph=True)
    assert tokens.grad is not None
    once = tokens.grad.clone()
    loss.backward()
    torch.testing.assert_close(tokens.grad, 2 * once, rtol=1e-15, atol=0)


def test_tokens_without_a_gradient_get_one_from_what_is_put_back() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    taken, tokens = take(torch.ones(SHAPE), IDS)
    assert not taken.requires_grad
    out = put_back(tokens, weight * taken, IDS)
    out.sum().backward()
    assert weight.grad == IDS.numel() * SHAPE[2]


def test_tokens_that_the_operation_before_still_needs_are_refused() -> None:
    tokens = start().exp()  # Its backward reads its result.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        moved(tokens).sum().backward()


class Written(TorchDispatchMode):
    """Counts the numbers that operations write, views not counted; in place only the rows that are moved."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.index_copy_.default:
            self.numbers += args[3].numel()
        elif not func.is_view:
            self.numbers += sum(part.numel() for part in (out if isinstance(out, tuple) else (out,)))
        return out


@pytest.mark.parametrize("length", [100, 1000])
def test_what_is_written_grows_with_the_tokens_that_are_moved_and_not_with_all(length: int) -> None:
    ids, width = torch.arange(0, 100, 10)[None], 8
    begin = torch.randn(1, length, width, requires_grad=True)
    tokens, gradient = begin * 1, torch.randn(1, length, width)
    moved(begin * 1, ids)  # Whatever is learnt once.
    with Written() as forward:
        taken, tokens = take(tokens, ids)
        tokens = put_back(tokens, taken, ids)
    after = tokens * 2
    with Written() as backward:
        after.backward(gradient)
    kept, places = ids.numel() * width, ids.numel()
    # Out, and back in; and the places of the rows are worked out both times.
    assert forward.numbers <= 2 * kept + 2 * 3 * places
    # Out, and back in; around them each product writes the whole gradient anew.
    assert backward.numbers == 2 * kept + 2 * begin.numel()
