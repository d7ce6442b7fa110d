"""Routes become runs of blocks on a model of known depth, and numbers of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reeltune.config.routing import TreadConfig, parse_tread
from reeltune.errors import ConfigError
from reeltune.routing.plan import Segment, kept_tokens, resolve, tokens_per_block


def routes(*spans: tuple[int, int], dropped: float = 0.5) -> TreadConfig:
    keys = ("selection_ratio", "start_layer_idx", "end_layer_idx")
    return parse_tread({"routes": [dict(zip(keys, (dropped, *span), strict=True)) for span in spans]})


CONSERVATIVE = parse_tread({"routes": [{"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": -2}]})

PROGRESSIVE = parse_tread(
    {
        "routes": [
            {"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": 8},
            {"selection_ratio": 0.25, "start_layer_idx": 9, "end_layer_idx": 11},
            {"selection_ratio": 0.35, "start_layer_idx": 12, "end_layer_idx": 15},
            {"selection_ratio": 0.25, "start_layer_idx": 16, "end_layer_idx": 23},
            {"selection_ratio": 0.1, "start_layer_idx": 24, "end_layer_idx": -2},
        ]
    }
)


@pytest.mark.parametrize(("dropped", "kept"), [(0.0, 16720), (0.1, 15048), (0.25, 12540), (0.35, 10868), (0.5, 8360)])
def test_the_share_is_of_tokens_that_are_dropped(dropped: float, kept: int) -> None:
    # 73 frames of 640x352 pixels.
    assert kept_tokens(19 * 22 * 40, dropped) == kept


def test_one_token_is_always_kept() -> None:
    assert kept_tokens(4, 0.99) == 1


def test_one_route_on_thirty_blocks() -> None:
    segments = resolve(CONSERVATIVE, 30)
    assert segments == (Segment(first=2, last=28, dropped=0.1),)
    assert tokens_per_block(segments, 30, 16720) == (16720,) * 2 + (15048,) * 27 + (16720,)


def test_five_routes_on_thirty_blocks() -> None:
    segments = resolve(PROGRESSIVE, 30)
    assert [(s.first, s.last) for s in segments] == [(2, 8), (9, 11), (12, 15), (16, 23), (24, 28)]
    expected = [16720] * 2 + [15048] * 7 + [12540] * 3 + [10868] * 4 + [12540] * 8 + [15048] * 5 + [16720]
    assert tokens_per_block(segments, 30, 16720) == tuple(expected)


def test_the_order_in_which_routes_are_written_does_not_matter() -> None:
    backwards = TreadConfig(routes=PROGRESSIVE.routes[::-1])
    assert resolve(backwards, 30) == resolve(PROGRESSIVE, 30)


def test_the_first_and_the_last_block_can_be_in_a_route() -> None:
    assert resolve(routes((0, -1)), 30) == (Segment(0, 29, 0.5),)
    assert resolve(routes((-30, 29)), 30) == (Segment(0, 29, 0.5),)


def test_every_block_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(routes((30, 40), (0, 1), (-31, -30)), 30)
    message = str(raised.value)
    assert message.splitlines()[0] == "tread_config on a model of 30 blocks: 3 problems"
    assert "route 1 from 30 to 40: there is no block 30; blocks are 0 to 29, or -30 to -1 from the end" in message
    assert "there is no block 40" in message
    assert "route 3 from -31 to -30: there is no block -31" in message


def test_problems_that_only_the_depth_shows_give_the_numbers_as_written_and_as_meant() -> None:
    config = routes((20, -20), (2, -5), (24, 29))
    with pytest.raises(ConfigError) as raised:
        resolve(config, 30)
    first, *problems = str(raised.value).splitlines()
    assert first.endswith("2 problems")
    assert problems == [
        "  route 1 from 20 to -20 (blocks 20 to 10) ends before it starts",
        "  route 2 from 2 to -5 (blocks 2 to 25) and route 3 from 24 to 29 share a block; "
        "each block can be in one route only",
    ]
    # On a deeper model nothing is wrong with the first route.
    assert resolve(routes((20, -20)), 40) == (Segment(20, 20, 0.5),)


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(-14, 13), st.integers(-14, 13)), min_size=1, max_size=3))
def test_routes_are_accepted_exactly_when_no_block_is_missing_or_taken_twice(layers, spans) -> None:
    # Python's own indexing is the reference for what a number means.
    taken: list[int] = []
    fine = True
    for first, last in spans:
        try:
            start, stop = range(layers)[first], range(layers)[last]
        except IndexError:
            fine = False
            continue
        fine = fine and start <= stop
        taken += range(start, stop + 1)
    fine = fine and len(taken) == len(set(taken))
    try:
        counts = tokens_per_block(resolve(routes(*spans), layers), layers, 10)
    except (ConfigError, ValueError):
        assert not fine
    else:
        assert fine
        assert counts == tuple(5 if block in taken else 10 for block in range(layers))
