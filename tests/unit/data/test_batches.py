"""The contents of batches are functions of their position, and what fails while they are read reaches the loop."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import torch

from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.data.batches import READ_AHEAD, BatchSource, Captions, Item, Stored
from reeltune.data.sampler import Order, Place
from reeltune.data.weights import DatasetWeights
from reeltune.errors import CacheError, UnreadableFile
from reeltune.randomness import Draws

SMALL, LARGE = Bucket(64, 64, 5), Bucket(96, 64, 5)
PLACES = [Place(SMALL)] * 5 + [Place(LARGE)] * 4 + [Place(LARGE, times=3)]


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
    order = Order(PLACES, batch_size=2, draws=Draws(1))
    return BatchSource(items, captions, order, Draws(1), batch_size=2, accumulation=accumulation)


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


class Epochs:
    """Latents that are the epoch they are read for."""

    def read(self, epoch: int) -> torch.Tensor:
        return torch.full((16, 2, 8, 8), float(epoch))


def test_samples_are_read_as_the_runs_epoch_has_them_and_regularisation_data_is_told_apart() -> None:
    # An epoch has three batches of `a`, and one and a half of `b`.
    places = [Place(SMALL, dataset=name) for name in "aaabbb"]
    order = Order(places, batch_size=1, draws=Draws(1), weights=DatasetWeights({"b": 0.5}))
    items = [
        Item(
            f"{place.dataset}{index}",
            SMALL,
            Epochs(),
            "",
            ("text:1",),
            place.dataset,
            prior=place.dataset == "b",
            sigma_offset=0.5 if place.dataset == "b" else 0.0,
        )
        for index, place in enumerate(places)
    ]
    batches = list(
        BatchSource(items, source().captions, order, Draws(1), batch_size=1, accumulation=2).read_from(0, end=18)
    )
    epochs = [0] * 4 + [1] * 5 + [2] * 4 + [3] * 5
    assert [batch.latents.unique().item() for batch in batches] == epochs
    assert [batch.prior for batch in batches] == [batch.ids[0].startswith("b") for batch in batches]
    assert sum(batch.prior for batch in batches) == 6
    assert [batch.sigma_offset for batch in batches] == [0.5 if batch.prior else 0.0 for batch in batches]


class Failing:
    """Latents that cannot be read, and what is raised instead."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, epoch: int) -> torch.Tensor:
        raise self.error


def failing(error: Exception) -> BatchSource:
    """Return a source whose sixth clip cannot be read."""
    whole = source()
    items = list(whole.items)
    items[5] = Item("clips/bad.mp4", LARGE, Failing(error), "", ("text:1",))
    return BatchSource(items, whole.captions, whole.order, Draws(1), batch_size=2, accumulation=1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error"), r"clips/bad.mp4: .*Input/output error\. Mend that and start the run again"),
        (CacheError("ab.safetensors is damaged. Start the run again."), r"clips/bad.mp4: .*damaged\. Start the run"),
        (UnreadableFile(Path("clips/bad.mp4"), "truncated"), r"clips/bad.mp4: .*: truncated"),
        (CacheError("clips/bad.mp4 cannot be encoded: truncated."), r"^clips/bad.mp4 cannot be encoded: truncated\.$"),
    ],
)
def test_a_failing_read_reaches_the_loop_with_the_clip_and_what_to_do(error: Exception, message: str) -> None:
    batches = failing(error).read_from(0, end=7)
    # In this order the clip is in the third batch. Those before are given out, though all are read ahead.
    assert [next(batches).ids for _ in range(2)] == [("clip-0",), ("clip-6",)]
    with pytest.raises(CacheError, match=message) as raised:
        next(batches)
    assert error in (raised.value, raised.value.__cause__)


def test_an_error_that_is_not_foreseen_keeps_its_kind_and_names_the_clip() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        list(failing(ZeroDivisionError("what?")).read_from(0, end=7))
    assert raised.value.__notes__ == ["while reading clips/bad.mp4"]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_no_thread_is_left_after_the_end_an_early_end_or_a_failure() -> None:
    list(source().read_from(0, end=3))
    assert threads() == []
    with closing(source().read_from(0, end=100)) as batches:
        next(batches)
        assert len(threads()) == 1
    assert threads() == []
    with pytest.raises(CacheError):
        list(failing(OSError("gone")).read_from(0, end=7))
    assert threads() == []


def test_no_more_is_read_ahead_than_is_said() -> None:
    asked: list[int] = []
    enough = threading.Semaphore(0)

    class Counting(BatchSource):
        def batch(self, position: int) -> Batch:
            asked.append(position)
            enough.release()
            return super().batch(position)

    whole = source()
    counting = Counting(whole.items, whole.captions, whole.order, Draws(1), batch_size=2, accumulation=1)
    with closing(counting.read_from(0, end=50)) as batches:
        next(batches)
        for _ in range(1 + READ_AHEAD):
            assert enough.acquire(timeout=10)
        assert not enough.acquire(timeout=0.05)
    assert asked == list(range(1 + READ_AHEAD))
