"""Which tokens are kept is uniform, and a function of the place in the run."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reeltune.contracts.batch import KeptTokens
from reeltune.randomness import Draws
from reeltune.routing.choose import choose_tokens
from reeltune.routing.plan import Segment, kept_tokens

HALF, TENTH = Segment(2, 5, 0.5), Segment(6, 8, 0.1)


def choose(
    *segments: Segment,
    seed: int = 1,
    step: int = 3,
    first_index: int = 0,
    batch_size: int = 4,
    tokens: int = 100,
    forced: torch.Tensor | None = None,
) -> tuple[KeptTokens, ...]:
    return choose_tokens(
        Draws(seed),
        step=step,
        first_index=first_index,
        batch_size=batch_size,
        tokens=tokens,
        segments=segments,
        forced=forced,
    )


def test_each_sample_keeps_the_right_number_of_different_tokens_in_order() -> None:
    half, tenth = choose(HALF, TENTH)
    assert (half.first, half.last, tuple(half.ids.shape)) == (2, 5, (4, 50))
    assert (tenth.first, tenth.last, tuple(tenth.ids.shape)) == (6, 8, (4, 90))
    for kept in (half.ids, tenth.ids):
        assert bool((kept.diff(dim=1) > 0).all())
        assert int(kept.min()) >= 0
        assert int(kept.max()) < 100


def test_nothing_dropped_keeps_every_token() -> None:
    (kept,) = choose(Segment(0, 1, 0.0))
    assert torch.equal(kept.ids, torch.arange(100).expand(4, -1))


def test_no_route_chooses_nothing() -> None:
    assert choose() == ()


def test_every_token_is_kept_equally_often() -> None:
    (kept,) = choose(HALF, batch_size=4000, tokens=20)
    counts = torch.bincount(kept.ids.flatten(), minlength=20)
    # Binomial, 4000 draws of 1/2: a standard deviation of 32. The seed is fixed; five of them catch a real tilt.
    assert float((counts - 2000).abs().max()) < 5 * 32
    # Neighbours are kept together with 1/2 * 9/19: independent of their places.
    both = sum(bool({0, 1} <= set(row)) for row in kept.ids.tolist())
    assert abs(both - 4000 * 9 / 38) < 5 * 27


def test_samples_routes_steps_and_seeds_choose_differently() -> None:
    one, other = choose(HALF, Segment(6, 8, 0.5))
    assert not torch.equal(one.ids, other.ids)
    assert len({tuple(row) for row in one.ids.tolist()}) == 4
    for different in (choose(HALF, seed=2), choose(HALF, step=4)):
        assert not torch.equal(different[0].ids, one.ids)


def test_a_sample_chooses_the_same_in_whichever_micro_batch_it_comes() -> None:
    whole = choose(HALF, TENTH)
    for place in range(4):
        alone = choose(HALF, TENTH, first_index=place, batch_size=1)
        for one, all_of_them in zip(alone, whole, strict=True):
            assert torch.equal(one.ids[0], all_of_them.ids[place])


def test_a_route_chooses_the_same_whatever_another_one_drops() -> None:
    _, before = choose(Segment(2, 5, 0.5), TENTH)
    _, after = choose(Segment(2, 5, 0.9), TENTH)
    assert torch.equal(before.ids, after.ids)


@given(dropped=st.floats(0, 1), share=st.floats(0, 1), tokens=st.integers(2, 60), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_forced_tokens_are_always_kept_and_the_rest_is_drawn(dropped, share, tokens: int, seed: int) -> None:
    forced = torch.rand(3, tokens, generator=torch.Generator().manual_seed(seed)) < share
    (kept,) = choose(Segment(0, 1, dropped), seed=seed, batch_size=3, tokens=tokens, forced=forced)
    planned = kept_tokens(tokens, dropped)
    assert kept.ids.shape == (3, max(planned, int(forced.sum(1).max())))
    assert bool((kept.ids.diff(dim=1) > 0).all())
    for ids, needed in zip(kept.ids, forced, strict=True):
        assert set(needed.nonzero().flatten().tolist()) <= set(ids.tolist())


def test_nothing_forced_changes_nothing() -> None:
    none = torch.zeros(4, 100, dtype=torch.bool)
    for plain, forced in zip(choose(HALF, TENTH), choose(HALF, TENTH, forced=none), strict=True):
        assert torch.equal(plain.ids, forced.ids)


def test_the_others_are_kept_equally_often_beside_forced_ones() -> None:
    forced = torch.zeros(4000, 20, dtype=torch.bool)
    forced[:, :4] = True
    (kept,) = choose(HALF, batch_size=4000, tokens=20, forced=forced)
    counts = torch.bincount(kept.ids.flatten(), minlength=20)
    assert counts[:4].tolist() == [4000] * 4
    # 6 of the other 16: binomial, a standard deviation of 31.
    assert float((counts[4:] - 1500).abs().max()) < 5 * 31


def test_a_sample_without_forced_tokens_keeps_its_own_and_more_beside_one_with_many() -> None:
    forced = torch.zeros(2, 100, dtype=torch.bool)
    forced[1, :70] = True
    (alone,), (beside,) = choose(HALF, batch_size=2), choose(HALF, batch_size=2, forced=forced)
    assert beside.ids.shape == (2, 70)
    assert set(alone.ids[0].tolist()) <= set(beside.ids[0].tolist())
