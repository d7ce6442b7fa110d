"""Which files are held out: the same ones whatever else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reeltune.data.hold_out import held_out_names, lot_of, parted_by_lot

NAMES = [f"clip-{number:04d}.mp4" for number in range(1000)]


@given(st.sets(st.text(max_size=5), max_size=12), st.floats(min_value=1e-9, max_value=1 - 1e-9))
def test_at_least_one_and_never_all(names: set[str], share: float) -> None:
    held_out = held_out_names(names, share)
    assert held_out <= names
    assert (0 < len(held_out) < len(names)) if len(names) > 1 else not held_out


def test_names_decide_and_neither_order_nor_company() -> None:
    whole = held_out_names(NAMES, 0.05)
    assert held_out_names(reversed(NAMES), 0.05) == whole
    assert held_out_names(NAMES[::2], 0.05) == whole & set(NAMES[::2])
    assert held_out_names([*NAMES, "new.mp4"], 0.05) - {"new.mp4"} == whole


def test_where_no_lot_decides_files_that_come_can_move_others_and_this_is_told() -> None:
    lowest, second, *rest = sorted(NAMES, key=lot_of)
    few = [second, *rest[-3:]]
    assert held_out_names(few, 1e-9) == {second}
    assert held_out_names([lowest, *few], 1e-9) == {lowest}
    assert not parted_by_lot({second}, rest[-3:], 1e-9)
    # Where all fall into the share the highest is trained: a higher one takes its place.
    assert held_out_names(rest[:-1], 1 - 1e-9) == set(rest[:-2])
    assert held_out_names(rest, 1 - 1e-9) == set(rest[:-1])
    assert not parted_by_lot(rest[:-1], rest[-1:], 1 - 1e-9)
    whole = held_out_names(NAMES, 0.05)
    assert parted_by_lot(whole, set(NAMES) - whole, 0.05)


def test_a_larger_share_holds_out_the_same_ones_and_more() -> None:
    assert held_out_names(NAMES, 0.05) < held_out_names(NAMES, 0.2)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_share_is_met_on_average(share: float) -> None:
    # Within four standard deviations of a binomial count.
    expected = 1000 * share
    assert abs(len(held_out_names(NAMES, share)) - expected) < 4 * np.sqrt(expected * (1 - share))


def test_lots_are_those_of_every_version() -> None:
    """Another lot would train what a run before has measured."""
    assert lot_of("clip-0000.mp4") == 0.5559504094205303
