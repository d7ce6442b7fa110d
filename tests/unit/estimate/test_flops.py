"""Operations of a step: against numbers worked out by hand, and against what torch counts."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from reeltune.contracts.dimensions import Dimensions
from reeltune.estimate.flops import (
    Recomputation,
    attention_forward,
    forward_operations,
    linear_forward,
    model_operations,
    step_operations,
)
from reeltune.estimate.sizes import SIZES
from reeltune.train.recomputation import recompute_blocks

TOKENS = {"a": 32_760, "b73": 17_100, "b77": 18_000, "c": 75_600, "image": 900}
"""832x480x81, 480x480x73, 480x480x77, 1280x720x81, and a picture of 480x480."""

# TFLOP, worked out by hand and rounded to the last digit: linear and attention forward, attention's share in percent;
# then a step of an adapter with full, selective and no recomputation, and of the whole model.
BY_HAND = """
1.3B a      82.1   200.9  71   1150   949   867   1232  1031   949
1.3B b73    42.9    55.5  56    379   323   280    421   366   323
1.3B b77    45.2    61.4  58    412   350   305    457   396   350
1.3B c     189.2  1060.6  85   5340  4280  4090   5529  4469  4280
14B  a       785     893  53   6374  5481  4696   7160  6267  5481
14B  b73     411     247  38   2343  2096  1685   2754  2507  2096
14B  b77     432     273  39   2526  2253  1820   2958  2685  2253
14B  c      1810    4714  72  26640 21927 20117  28450 23736 21927
1.3B image   2.4     0.2   9      8     8     6     11    10     8
14B  image  23.7     1.0   4     76    75    51     99    98    75
"""
ROWS = [line.split() for line in BY_HAND.split("\n") if line]
RECOMPUTATIONS: tuple[Recomputation, ...] = ("full", "selective", "none")


def rounded_as(printed: str, value: float) -> str:
    return f"{value:.{len(printed.partition('.')[2])}f}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_operations_are_those_worked_out_by_hand(row: list[str]) -> None:
    size, tokens, printed = SIZES[row[0]], TOKENS[row[1]], row[2:]
    linear, attention = linear_forward(size, tokens) / 1e12, attention_forward(size, tokens) / 1e12
    adapter = [step_operations(size, tokens, recomputation=kind).total / 1e12 for kind in RECOMPUTATIONS]
    full = [step_operations(size, tokens, trained="full", recomputation=kind).total / 1e12 for kind in RECOMPUTATIONS]
    own = [linear, attention, 100 * attention / (linear + attention), *adapter, *full]
    assert [rounded_as(text, value) for text, value in zip(printed, own, strict=True)] == printed


@pytest.mark.parametrize(
    ("size", "recomputation", "by_hand"),
    [
        ("1.3B", "full", ("246", "402", "502")),
        ("1.3B", "selective", ("246", "201", "502")),
        ("1.3B", "none", ("164", "201", "502")),
        ("14B", "full", ("2356", "1786", "2232")),
        ("14B", "selective", ("2356", "893", "2232")),
        ("14B", "none", ("1571", "893", "2232")),
    ],
)
def test_a_step_is_split_by_what_it_runs_on(size: str, recomputation: Recomputation, by_hand: tuple[str, ...]) -> None:
    split = step_operations(SIZES[size], TOKENS["a"], recomputation=recomputation)
    own = (split.linear, split.attention_forward, split.attention_backward)
    assert tuple(f"{value / 1e12:.0f}" for value in own) == by_hand


def test_the_model_itself_needs_two_or_three_passes_and_nothing_twice() -> None:
    # 2 * 82.07 + 3 * 200.91, 2 * 785.4 + 3 * 892.9, and one linear pass more where the base is trained.
    assert model_operations(SIZES["1.3B"], 32_760).total / 1e12 == pytest.approx(766.9, rel=1e-4)
    assert model_operations(SIZES["14B"], 32_760).total / 1e12 == pytest.approx(4249.5, rel=1e-4)
    assert model_operations(SIZES["14B"], 32_760, trained="full").total / 1e12 == pytest.approx(5034.9, rel=1e-4)


def test_routed_blocks_cost_what_their_own_tokens_cost() -> None:
    size = Dimensions(layers=3, heads=1, head_width=2, ffn=5, text_tokens=7)
    # d = 2, f = 5: linear n * (12 * 4 + 4 * 10) + 7 * 16; attention 8 n (n + 7).
    assert linear_forward(size, [10, 4, 10]) == 24 * 88 + 3 * 112
    assert attention_forward(size, [10, 4, 10]) == 8 * (10 * 17 * 2 + 4 * 11)
    assert step_operations(size, [10, 10, 10]) == step_operations(size, 10)
    with pytest.raises(AssertionError):
        linear_forward(size, [10, 4])


def test_every_so_many_th_block_recomputed_costs_its_own_forward_pass_more() -> None:
    size = Dimensions(layers=5, heads=1, head_width=2, ffn=5, text_tokens=7)
    tokens = [10, 4, 6, 4, 10]
    none = step_operations(size, tokens, recomputation="none").total
    for every, recomputed in {1: tokens, 2: [10, 6, 10], 3: [10, 4], 5: [10]}.items():
        # A forward pass of one block by hand: d = 2, f = 5 and 7 text tokens.
        again = sum(n * 88 + 112 + 8 * n * (n + 7) for n in recomputed)
        assert step_operations(size, tokens, every=every).total - none == again
    assert step_operations(size, tokens, recomputation="none", every=2).total == none


def test_the_formulas_count_what_torch_counts() -> None:
    size = Dimensions(layers=2, heads=4, head_width=16, ffn=256, text_width=32, time_width=32)
    transformer = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=16, text_dim=32, freq_dim=32, ffn_dim=256, num_layers=2
    )
    counter = FlopCounterMode(display=False)
    # The plain attention is made of multiplications that the counter knows; CPU kernels it does not.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        transformer(torch.randn(1, 16, 9, 16, 16), torch.tensor([500]), torch.randn(1, 512, 32))
    counts = counter.get_flop_counts()
    in_blocks = sum(sum(counts[f"WanTransformer3DModel.blocks.{block}"].values()) for block in range(2))
    assert forward_operations(size, 9 * 8 * 8).total == in_blocks


def test_torch_counts_the_same_for_what_is_recomputed() -> None:
    size = Dimensions(layers=3, heads=4, head_width=16, ffn=256, text_width=32, time_width=32)
    transformer = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=16, text_dim=32, freq_dim=32, ffn_dim=256, num_layers=3
    )

    def counted() -> int:
        counter = FlopCounterMode(display=False)
        # Of the meta device: operations are counted, and nothing is computed.
        with sdpa_kernel(SDPBackend.MATH), counter:
            x_t = torch.empty(1, 16, 3, 16, 16, device="meta")
            (answer,) = transformer(
                x_t, torch.empty(1, device="meta"), torch.empty(1, 512, 32, device="meta"), return_dict=False
            )
            answer.sum().backward()
        return counter.get_total_flops()

    nn.Module.to(transformer, device="meta").train()
    plain, none = counted(), step_operations(size, 3 * 64, trained="full", recomputation="none").total
    for every in (1, 2):
        recompute_blocks(transformer, "blocks", every=every)
        estimated = step_operations(size, 3 * 64, trained="full", every=every).total
        assert counted() - plain == estimated - none
