"""The order of samples and the contents of batches are functions of their position."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.data.batches import BatchSource, Captions, Item, Stored
from reeltune.data.sampler import Order, Place
from reeltune.randomness import Draws

SMALL, LARGE = Bucket(64, 64, 5), Bucket(96, 64, 5)
PLACES = [Place(SMALL)] * 5 + [Place(LARGE)] * 4 + [Place(LARGE, times=3)]


def order(seed: int = 1, batch_size: int = 2) -> Order:
    return Order(PLACES, batch_size=batch_size, draws=Draws(seed))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_an_epoch_shows_every_sample_as_often_as_it_should(batch_size: int) -> None:
    epoch = order(batch_size=batch_size)
    for number in range(3):
        start = number * epoch.batches_per_epoch
        batches = [epoch.micro_batch(start + place) for place in range(epoch.batches_per_epoch)]
        shown = Counter(index for batch in batches for index in batch)
        assert shown == {**dict.fromkeys(range(9), 1), 9: 3}
        assert all(len({PLACES[index].bucket for index in batch}) == 1 for batch in batches)
        assert max(len(batch) for batch in batches) <= batch_size


def test_a_smaller_last_batch_is_trained() -> None:
    sizes = Counter(len(order().micro_batch(place)) for place in range(order().batches_per_epoch))
    assert sizes == {2: 5, 1: 2}


def test_epochs_differ_and_any_position_can_be_asked_first() -> None:
    one, two = order(), order()
    late = [two.micro_batch(position) for position in range(20, 24)]
    assert [one.micro_batch(position) for position in range(24)][20:] == late
    epochs = [tuple(one.micro_batch(7 * epoch + place) for place in range(7)) for epoch in range(4)]
    assert len(set(epochs)) == 4
    assert order(seed=2).micro_batch(0) != one.micro_batch(0) or order(seed=2).micro_batch(1) != one.micro_batch(1)


class Tensors:
    """A cache of tensors that are their keys."""

    def read(self, key: str) -> torch.Tensor:
        kind, _, number = key.partition(":")
        shape = (16, 2, 8, 8) if kind == "latent" else (1 + int(number), 4)
        tensor = torch.full(shape, float(number))
        if kind == "text":
            tensor[:, 1] = 99
        return tensor


def lengths_of(batch: Batch) -> list[int]:
    """Return how many rows of each sample's text are its own; the sentinel 99 ends each."""
    return [int((row[:, 1] == 99).nonzero()[-1]) + 1 for row in batch.text]


def source(*, dropout: float = 0.0, accumulation: int = 2) -> BatchSource:
    items = [
        Item(
            f"clip-{index}",
            place.bucket,
            Stored(Tensors(), f"latent:{index}"),
            f"latent:{index}",
            (f"text:{index}", f"text:{index + 20}"),
        )
        for index, place in enumerate(PLACES)
    ]
    captions = Captions(Tensors(), "text:0", dropout)
    return BatchSource(items, captions, order(), Draws(1), batch_size=2, accumulation=accumulation)


def test_a_batch_holds_what_its_ids_say() -> None:
    batch = source().batch(3)
    for row, name in enumerate(batch.ids):
        number = int(name.removeprefix("clip-"))
        assert (batch.latents[row] == number).all()
        length = lengths_of(batch)[row]
        caption = batch.text[row, 0, 0].item()
        assert caption in (number, number + 20)
        assert length == 1 + caption
        assert (batch.text[row, :length, 0] == caption).all()
        assert (batch.text[row, length:] == 0).all()


def test_reading_ahead_gives_the_same_batches_from_any_start() -> None:
    whole = [batch.ids for batch in source().read_from(0, end=12)]
    assert [batch.ids for batch in source().read_from(5, end=12)] == whole[5:]
    assert len(whole) == 12


def test_captions_are_dropped_as_often_as_asked_and_all_of_several_are_used() -> None:
    texts = source(dropout=0.25, accumulation=1)
    captions = Counter()
    for position in range(700):
        batch = texts.batch(position)
        captions.update(
            "empty" if int(length) == 1 and name != "clip-0" else "own"
            for name, length in zip(batch.ids, lengths_of(batch), strict=True)
        )
    share = captions["empty"] / captions.total()
    # Clip 0 cannot be told from the empty caption and is one of twelve; three standard deviations of 1100 draws.
    assert abs(share - 0.25 * 11 / 12) < 0.04
    second = Counter(bool(int(n) > 20) for p in range(100) for n in lengths_of(source().batch(p)))
    assert min(second.values()) > 50


def test_a_failing_read_reaches_the_loop() -> None:
    class Broken:
        def read(self, key: str) -> torch.Tensor:
            raise OSError("disk gone")

    broken = source()
    item = Item("clip", SMALL, Stored(Broken(), "latent:0"), "latent:0", ("text:0",))
    batches = BatchSource([item] * 10, broken.captions, order(), Draws(1), batch_size=2, accumulation=1)
    with pytest.raises(OSError, match="disk gone"):
        next(batches.read_from(0, end=5))
