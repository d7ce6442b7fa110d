"""Held-out clips that are made on demand, and a model that is one layer: quickly imported by processes of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from helpers.trained import PlainTensors
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.clip import Bucket
from reeltune.data.batches import Item, Stored
from reeltune.objective.shift import Shift
from reeltune.train.evaluate import Evaluation
from reeltune.train.history import History
from reeltune.train.schedule import Every
from reeltune.train.state import TrainState
from reeltune.train.team import Team

CPU = torch.device("cpu")
BUCKET = Bucket(width=32, height=32, frames=5)


@dataclass
class Shelf:
    """Tensors by key, made on demand. asked: the keys that were read."""

    shapes: dict[str, tuple[int, ...]]
    asked: list[str] = field(default_factory=list)

    def read(self, key: str) -> Tensor:
        self.asked.append(key)
        return torch.randn(self.shapes[key], generator=torch.Generator().manual_seed(sum(key.encode())))


def held_out(latents: Shelf, keys: dict[str, Bucket]) -> list[Item]:
    return [
        Item(f"{key}.mp4", bucket, Stored(latents, key), key, (f"{key} first", f"{key} second"))
        for key, bucket in keys.items()
    ]


@dataclass
class OneLayer:
    """Mixes channels by what is trained. fails_at: the number of the forward pass that fails; 0 is none."""

    weight: nn.Parameter
    fails_at: int = 0
    asked: int = 0

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Tensor:
        self.asked += 1
        if self.asked == self.fails_at:
            raise RuntimeError("out of memory")
        mixed = torch.einsum("bcthw,cd->bdthw", noised.x_t, self.weight)
        return torch.tanh(mixed * (1 + noised.sigma)) + batch.text.mean()


def one_layer(team: Team, history: History, *, fails_at: int = 0) -> tuple[Evaluation, TrainState]:
    """Return the measurement of two datasets, of three clips and of one, and what is measured."""
    torch.manual_seed(1)
    trained = PlainTensors({"weight": (4, 4)})
    weight = trained.trainable()["weight"]
    family: Any = OneLayer(weight, fails_at)
    shelf = Shelf({key: (4, 2, 4, 4) for key in "abcd"} | {f"{key} first": (3, 6) for key in "abcd"})
    clips = held_out(shelf, dict.fromkeys("abcd", BUCKET))
    datasets = {"one": clips[:3], "two": clips[3:]}
    evaluation = Evaluation(
        Every(1), family, nn.Identity(), datasets, shelf, Shift(3.0), 4, CPU, history=history, team=team
    )
    return evaluation, TrainState(trained, torch.optim.SGD([weight]), ema=None)
