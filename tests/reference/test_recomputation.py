"""Recomputing every k-th block: the same gradients to the bit, and memory between all and nothing kept."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from helpers.routed import BLOCKS, TWO_ROUTES, answer, choose, make_transformer
from reeltune.train.recomputation import recompute_blocks

ROUTES = {"plain": (), "routed": TWO_ROUTES}


def passes(transformer: WanTransformer3DModel) -> Counter[int]:
    """Return a count that grows whenever a block runs, by its number."""
    seen: Counter[int] = Counter()

    def count(number: int) -> None:
        block = transformer.blocks[number]
        assert isinstance(block, nn.Module)
        block.register_forward_pre_hook(lambda *_: seen.update([number]))

    for number in range(BLOCKS):
        count(number)
    return seen


@pytest.mark.parametrize("adapted", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("segments", ROUTES.values(), ids=ROUTES)
def test_gradients_are_the_same_whatever_is_recomputed(segments, adapted: bool) -> None:
    transformer = make_transformer(adapted=adapted)
    output, gradients = answer(transformer, choose(*segments))
    seen = passes(transformer)
    for every in (1, 2, 3, BLOCKS):
        recompute_blocks(transformer, "blocks", every=every)
        seen.clear()
        again, same = answer(transformer, choose(*segments))
        assert torch.equal(again, output)
        assert same.keys() == gradients.keys()
        assert [name for name in same if not torch.equal(same[name], gradients[name])] == []
        assert seen == {number: 1 + (number % every == 0) for number in range(BLOCKS)}


def test_what_is_saved_for_the_backward_pass_lies_between_all_and_one_input_a_block() -> None:
    transformer = make_transformer(adapted=True)

    def saved() -> int:
        # Of tensors that several operations keep, and of views, each counts once: by its memory.
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            answer(transformer, ())
        return sum(kept.values())

    everything = saved()
    amounts = []
    for every in (1, 2, 3, BLOCKS):
        recompute_blocks(transformer, "blocks", every=every)
        amounts.append(saved())
    assert amounts == sorted(set(amounts))
    assert amounts[-1] < everything
    # Blocks 0, 2 and 4 of five: what the other two keep is two fifths of the whole, up to what is outside of blocks.
    share = (amounts[1] - amounts[0]) / (everything - amounts[0])
    assert share == pytest.approx(2 / 5, abs=0.1)
