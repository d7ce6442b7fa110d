"""The order of a run is a function of seed and position, and datasets come as often as their weights say."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reeltune.contracts.clip import Bucket
from reeltune.data.sampler import Order, Place
from reeltune.data.weights import DatasetWeights
from reeltune.randomness import Draws

SMALL, LARGE = Bucket(64, 64, 5), Bucket(96, 64, 5)
PLACES = [Place(SMALL)] * 5 + [Place(LARGE)] * 4 + [Place(LARGE, times=3)]


def order(seed: int = 1, batch_size: int = 2) -> Order:
    return Order(PLACES, batch_size=batch_size, draws=Draws(seed))


def weighted(sizes: dict[str, int], weights: DatasetWeights | None = None, *, batch_size: int = 1) -> Order:
    """Return the order of datasets of so many clips of one bucket, in one list one after the other."""
    places = [Place(SMALL, dataset=name) for name, size in sizes.items() for _ in range(size)]
    return Order(places, batch_size=batch_size, draws=Draws(3), weights=weights)


def epochs_of(drawn: Order, number: int) -> list[list[tuple[int, ...]]]:
    """Return the micro-batches of the first epochs."""
    return [
        [drawn.micro_batch(place) for place in range(drawn.batches_until(epoch), drawn.batches_until(epoch + 1))]
        for epoch in range(number)
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_an_epoch_shows_every_sample_as_often_as_it_should(batch_size: int) -> None:
    for batches in epochs_of(order(batch_size=batch_size), 3):
        shown = Counter(index for batch in batches for index in batch)
        assert shown == {**dict.fromkeys(range(9), 1), 9: 3}
        assert all(len({PLACES[index].bucket for index in batch}) == 1 for batch in batches)
        assert max(len(batch) for batch in batches) <= batch_size


def test_a_smaller_last_batch_is_trained() -> None:
    assert Counter(len(batch) for batch in epochs_of(order(), 1)[0]) == {2: 5, 1: 2}


def test_epochs_differ_and_any_position_can_be_asked_first() -> None:
    one, two = order(), order()
    late = [two.micro_batch(position) for position in range(20, 24)]
    assert [one.micro_batch(position) for position in range(24)][20:] == late
    epochs = [tuple(one.micro_batch(7 * epoch + place) for place in range(7)) for epoch in range(4)]
    assert len(set(epochs)) == 4
    assert order(seed=2).micro_batch(0) != one.micro_batch(0) or order(seed=2).micro_batch(1) != one.micro_batch(1)


def test_the_order_of_one_dataset_is_what_it_was_before_there_were_weights() -> None:
    # Written down from the release before: runs that were begun with it go on with the same samples.
    assert [order().micro_batch(position) for position in range(14)] == [
        *((0,), (6,), (5, 9), (8, 7), (9, 9), (4, 2), (3, 1)),
        *((6, 7), (9, 9), (4, 2), (8,), (3,), (5, 9), (0, 1)),
    ]


def test_a_batch_never_mixes_datasets_and_all_are_shown_whole_when_their_weights_are_equal() -> None:
    places = [Place((SMALL, LARGE)[index % 2], 1 + index % 3, "abc"[index % 5 % 3]) for index in range(23)]
    drawn = Order(places, batch_size=3, draws=Draws(0))
    assert drawn.is_even
    for batches in epochs_of(drawn, 3):
        assert all(len({(places[one].dataset, places[one].bucket) for one in batch}) == 1 for batch in batches)
        shown = Counter(index for batch in batches for index in batch)
        assert shown == {index: place.times for index, place in enumerate(places)}
    # Datasets are mixed in time, too: their turns are shuffled.
    turns = [places[batch[0]].dataset for batch in epochs_of(drawn, 1)[0]]
    assert turns != sorted(turns)


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        # By size, a probability says how much of a dataset comes for a whole of the most probable one.
        ({"a": 12, "b": 30}, DatasetWeights(), {"a": 12, "b": 30}),
        ({"a": 12, "b": 30}, DatasetWeights({"a": 0.5, "b": 0.5}), {"a": 12, "b": 30}),
        ({"a": 12, "b": 30}, DatasetWeights({"b": 0.1}), {"a": 12, "b": 3}),
        ({"a": 12, "b": 30}, DatasetWeights({"a": 0.3, "b": 0.1}), {"a": 12, "b": 10}),
        ({"a": 12, "b": 7}, DatasetWeights({"b": 0.5}), {"a": 12, "b": Fraction(7, 2)}),
        # Uniform, it is the weight itself: the small dataset whole, the large one as often.
        ({"a": 12, "b": 30}, DatasetWeights(by_size=False), {"a": 12, "b": 12}),
        ({"a": 12, "b": 30}, DatasetWeights({"a": 0.2, "b": 0.8}, by_size=False), {"a": Fraction(15, 2), "b": 30}),
        ({"a": 5}, DatasetWeights({"a": 0.01}), {"a": 5}),
    ],
)
def test_an_epoch_has_what_the_weights_say(
    sizes: dict[str, int], weights: DatasetWeights, expected: dict[str, Fraction]
) -> None:
    assert weights.per_epoch(sizes) == expected
    drawn, names = weighted(sizes, weights), [name for name, size in sizes.items() for _ in range(size)]
    assert drawn.batches_per_epoch == sum(expected.values())
    counts = Counter(names[index] for batches in epochs_of(drawn, 20) for (index,) in batches)
    assert counts == {name: 20 * batches for name, batches in expected.items()}


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    probabilities=st.lists(st.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0, 3.7]), min_size=4, max_size=4),
    by_size=st.booleans(),
    batch_size=st.integers(1, 3),
)
def test_over_many_epochs_shares_are_the_weights_and_every_clip_comes_equally_often(
    sizes: list[int], probabilities: list[float], by_size: bool, batch_size: int
) -> None:
    clips = {f"d{number}": size for number, size in enumerate(sizes)}
    chosen = dict(zip(clips, probabilities, strict=False))
    drawn = weighted(clips, DatasetWeights(chosen, by_size=by_size), batch_size=batch_size)
    names = [name for name, size in clips.items() for _ in range(size)]
    batches = [batch for epoch in epochs_of(drawn, 12) for batch in epoch]
    assert len(batches) == drawn.batches_until(12)

    # A dataset's weight is its probability, by size times its batches of a pass; one batch is lost to rounding.
    own = {name: -(-size // batch_size) for name, size in clips.items()}
    weights = {name: chosen[name] * (own[name] if by_size else 1) for name in clips}
    drawn_of = Counter(names[batch[0]] for batch in batches)
    whole = max(clips, key=lambda name: weights[name] / own[name])
    assert drawn_of[whole] == 12 * own[whole]
    for name in clips:
        assert abs(drawn_of[name] - 12 * own[whole] * weights[name] / weights[whole]) <= 1 + 1e-9

    shown = Counter(index for batch in batches for index in batch)
    for name in clips:
        counts = [shown[index] for index, own_name in enumerate(names) if own_name == name]
        assert max(counts) - min(counts) <= 1

    # Any position says its epoch, and what is seen until there.
    for position in (0, 1, len(batches) // 2, len(batches) - 1):
        epoch = drawn.epoch_of(position)
        assert drawn.batches_until(epoch) <= position < drawn.batches_until(epoch + 1)
        seen = {index for batch in batches[:position] for index in batch}
        assert drawn.seen(position) == {
            name: (sum(names[index] == name for index in seen), size) for name, size in clips.items()
        }


def test_a_rare_dataset_goes_on_where_it_stopped() -> None:
    drawn = weighted({"a": 10, "b": 40}, DatasetWeights({"b": 0.1}))
    # Four of forty an epoch: ten epochs show each once, and the next ten each once more, in another order.
    of_b = [[index for (index,) in batches if index >= 10] for batches in epochs_of(drawn, 20)]
    assert {len(one) for one in of_b} == {4}
    first, second = (sum(part, []) for part in (of_b[:10], of_b[10:]))
    assert sorted(first) == sorted(second) == list(range(10, 50))
    assert first != second


def test_weighted_orders_can_be_asked_anywhere_first() -> None:
    sizes, weights = {"a": 7, "b": 11, "c": 5}, DatasetWeights({"b": 0.15, "c": 0.7})
    whole = weighted(sizes, weights)
    expected = [whole.micro_batch(position) for position in range(100)]
    assert [weighted(sizes, weights).micro_batch(90 + place) for place in range(10)] == expected[90:]


def test_what_an_epoch_shows_of_each_bucket_is_a_part_of_a_pass() -> None:
    places = [Place(SMALL, 2, "a")] * 3 + [Place(LARGE, 1, "b")] * 4 + [Place(SMALL, 1, "b")] * 5
    drawn = Order(places, batch_size=4, draws=Draws(0), weights=DatasetWeights({"a": 1.0, "b": 0.5}))
    shown = [(group.dataset, group.bucket, group.samples, group.batches) for group in drawn.groups]
    # Six of `a` in two batches; of `b` half of four in one and of five in two.
    half = Fraction(1, 2)
    assert shown == [("a", SMALL, 6, 2), ("b", SMALL, 5 * half, 1), ("b", LARGE, 2, half)]
    assert drawn.batches_per_epoch == 3 + half
    assert drawn.parts == {"a": 1, "b": 0.5}
    assert drawn.shares == {"a": 2 / 3.5, "b": 1.5 / 3.5}
