"""Changes of every kind for layers of a tiny transformer, and files of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from reeltune.adapters.about import About
from reeltune.adapters.changes import (
    Butterfly,
    Change,
    Decomposed,
    Dense,
    Generalized,
    Hadamard,
    Kronecker,
    LowRank,
    Rotation,
    Scaling,
)
from reeltune.contracts.layers import LinearLayer

MakeChange = Callable[[LinearLayer, torch.Generator], Change]


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=generator)


def low_rank(layer: LinearLayer, generator: torch.Generator) -> LowRank:
    return LowRank(drawn(generator, 4, layer.inputs), drawn(generator, layer.outputs, 4), 0.5)


def kronecker(layer: LinearLayer, generator: torch.Generator) -> Kronecker:
    right = (drawn(generator, layer.outputs // 4, 2), drawn(generator, 2, layer.inputs // 4))
    return Kronecker(drawn(generator, 4, 4), right, 2.0)


KINDS: Mapping[str, MakeChange] = {
    "LoRA": low_rank,
    "LoKr": kronecker,
    "LoHa": lambda layer, generator: Hadamard(
        drawn(generator, layer.outputs, 2),
        drawn(generator, 2, layer.inputs),
        drawn(generator, layer.outputs, 2),
        drawn(generator, 2, layer.inputs),
        0.7,
    ),
    "full differences": lambda layer, generator: Dense(
        drawn(generator, layer.outputs, layer.inputs), drawn(generator, layer.outputs) if layer.has_bias else None, 0.5
    ),
    "IA3": lambda layer, generator: Scaling(drawn(generator, layer.outputs)),
    "OFT": lambda layer, generator: Rotation(drawn(generator, layer.outputs // 4, 4, 4)),
    "BOFT": lambda layer, generator: Butterfly(drawn(generator, 2, layer.outputs // 4, 4, 4)),
    "GLoRA": lambda layer, generator: Generalized(
        drawn(generator, layer.inputs, 2),
        drawn(generator, 2, layer.inputs),
        drawn(generator, layer.outputs, 2),
        drawn(generator, 2, layer.inputs),
        0.5,
    ),
    "DoRA": lambda layer, generator: Decomposed(low_rank(layer, generator), 1 + drawn(generator, layer.outputs, 1)),
}
"""By what people call them."""


def changes_for(layers: list[LinearLayer], kind: str, *, seed: int = 0) -> dict[str, Change]:
    """Return a random change of a kind for each layer."""
    generator = torch.Generator().manual_seed(seed)
    return {layer.name: KINDS[kind](layer, generator) for layer in layers}


def about(**known: object) -> About:
    """Return what a file says of itself, with a base named that is not here."""
    return About(**{"base_model": "owner/base", "base_fingerprint": "f00d", "kind": "lora", **known})  # pyright: ignore[reportArgumentType]
