"""From cached tensors to batches, read ahead of the loop by a thread.

Each micro-batch is a function of its position: which samples, as which epoch has them, which of their captions, and
whether the caption is dropped. So reading can start anywhere.

Files are read one after the other: a clip of 81 frames at 832x480 takes 13 ms, a step seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from reeltune.contracts.batch import Batch
from reeltune.contracts.clip import Bucket
from reeltune.data.mask_grids import stacked, tokens_that_count
from reeltune.data.sampler import Order
from reeltune.errors import CacheError, ReeltuneError
from reeltune.randomness import Draws, Purpose

READ_AHEAD = 2
"""Micro-batches read before they are asked for."""


@runtime_checkable
class TensorReader(Protocol):
    def read(self, key: str) -> Tensor: ...


@runtime_checkable
class LatentReader(Protocol):
    """Where one sample's encoding, or its mask, comes from."""

    def read(self, epoch: int) -> Tensor:
        """Return the sample's (C, T, h, w), or its mask's (T, h, w), as trained in an epoch, counted from 0."""
        ...


@dataclass(frozen=True)
class Stored:
    """An encoding that is the same in every epoch and lies in a store."""

    store: TensorReader
    key: str

    def read(self, epoch: int) -> Tensor:
        return self.store.read(self.key)


@dataclass(frozen=True)
class Item:
    """A sample as the loop sees it: where its encoded clip and captions lie.

    latent_key: names what the clip shows, in the first epoch where it changes.
    prior: the wanted answer is the base model's own (regularisation data).
    sigma_offset: added to the logit of the noise level, before the shift.
    mask: how much each place of the latents counts; None where all count alike. mask_key: names it.
    """

    id: str
    bucket: Bucket
    latents: LatentReader
    latent_key: str
    caption_keys: tuple[str, ...]
    dataset_id: str = ""
    prior: bool = False
    sigma_offset: float = 0.0
    mask: LatentReader | None = None
    mask_key: str = ""


@dataclass(frozen=True)
class Captions:
    """Where encoded captions lie; `empty_key` is that of the empty one, drawn with probability `dropout`."""

    store: TensorReader
    empty_key: str
    dropout: float


@dataclass(frozen=True)
class BatchSource:
    """All micro-batches of a run by position.

    accumulation: micro-batches that make up one step. pin: put batches into page-locked memory, for a GPU.
    patch: latent frames, height and width of one token.
    """

    items: Sequence[Item]
    captions: Captions
    order: Order
    draws: Draws
    batch_size: int
    accumulation: int
    pin: bool = False
    patch: tuple[int, int, int] = (1, 1, 1)

    def batch(self, position: int) -> Batch:
        """Return micro-batch number `position` of the run. Raises CacheError, with the sample's id, without it."""
        step, micro_batch = divmod(position, self.accumulation)
        epoch = self.order.epoch_of(position)
        items = [self.items[index] for index in self.order.micro_batch(position)]
        latents, text, masks = [], [], []
        for index, item in enumerate(items, start=micro_batch * self.batch_size):
            with _naming(item):
                latents.append(item.latents.read(epoch))
                text.append(self._text(item, step=step, index=index))
                masks.append(item.mask.read(epoch) if item.mask else None)
        batch = Batch(
            latents=torch.stack(latents),
            text=pad_sequence(text, batch_first=True),
            ids=tuple(item.id for item in items),
            bucket=items[0].bucket,
            prior=items[0].prior,
            sigma_offset=items[0].sigma_offset,
            mask=stacked(masks, 1.0),
            # Told here, on the host: asking a GPU which tokens count would make the step wait for it.
            always_kept=stacked([None if mask is None else tokens_that_count(mask, self.patch) for mask in masks], 0.0),
        )
        return batch.pinned() if self.pin else batch

    def read_from(self, position: int, *, end: int) -> Generator[Batch, None, None]:
        """Yield the micro-batches from `position` up to `end`, reading ahead in the background."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as reader:
            waiting: deque[Future[Batch]] = deque()
            try:
                for ahead in range(position, end):
                    waiting.append(reader.submit(self.batch, ahead))
                    if len(waiting) > READ_AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _text(self, item: Item, *, step: int, index: int) -> Tensor:
        stream = self.draws.stream(Purpose.CAPTION, step, index)
        if stream.random() < self.captions.dropout:
            return self.captions.store.read(self.captions.empty_key)
        return self.captions.store.read(item.caption_keys[stream.integers(len(item.caption_keys))])


@contextmanager
def _naming(item: Item) -> Iterator[None]:
    """Say which sample it was, and what to do, where something of it cannot be read."""
    try:
        yield
    except ReeltuneError as error:
        if isinstance(error, CacheError) and str(error).startswith(item.id):
            raise
        raise CacheError(f"{item.id}: its encoding cannot be read: {error}") from error
    except OSError as error:
        advice = "Mend that and start the run again: it goes on from its last checkpoint."
        raise CacheError(f"{item.id}: its encoding cannot be read: {error}. {advice}") from error
    except Exception as error:
        error.add_note(f"while reading {item.id}")
        raise
