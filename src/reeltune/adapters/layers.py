"""The linear layers of a live transformer: which there are, and a layer's part in what adapters compute."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from reeltune.adapters.changes import Base, Change, Decomposed, uses_product
from reeltune.contracts.layers import LinearLayer


def layers_of(transformer: nn.Module) -> tuple[LinearLayer, ...]:
    """Return the linear layers of a transformer in its own order, before any adapter is attached to it."""
    return tuple(
        LinearLayer(
            name,
            inputs=layer.in_features,
            outputs=layer.out_features,
            has_bias=layer.bias is not None,
            inside=tuple(_around(transformer, name)),
        )
        for name, layer in transformer.named_modules()
        if isinstance(layer, nn.Linear)
    )


def linear_of(transformer: nn.Module, name: str) -> nn.Linear:
    """Return the base's own linear layer of a name, whatever PEFT has put around it."""
    layer = transformer.get_submodule(name)
    layer = getattr(layer, "base_layer", layer)
    assert isinstance(layer, nn.Linear), f"{name} is a {type(layer).__name__}"
    return layer


def is_quantized(layer: nn.Linear) -> bool:
    """Say whether a layer's weight is not held as plain numbers."""
    return type(layer.weight.data) is not Tensor


def plain_weight(layer: nn.Linear) -> Tensor:
    """Return the weight that a layer computes with, as plain numbers without a gradient."""
    weight = layer.weight.detach()
    return weight.dequantize() if is_quantized(layer) else weight


def base_of(layer: nn.Linear, x: Tensor, output: Tensor, *, change: Change) -> Base:
    """Return a layer's part in a pass that gave `output` for x, with all that a change reads.

    W x is found by taking the bias off the output: in bfloat16 that costs one rounding, and no second multiplication.
    """
    product = output - layer.bias if layer.bias is not None and uses_product(change) else output
    return Base(x, product, apply=lambda other: linear(other, layer.weight), weight=lambda: plain_weight(layer))


def exact_base(layer: nn.Linear, x: Tensor, *, change: Change | None = None) -> Base:
    """Return a layer's part in a pass for a float32 x, computed in float32 from the layer's own weight.

    change: what the part is for; the weight is brought to float32 only if that reads it. None: for anything.
    """

    @functools.cache
    def weight() -> Tensor:
        return plain_weight(layer).to(x.device, torch.float32)

    # DoRA of columns brings the weight to float32 in any case, and how exact it is depends on the size of W x.
    needed = change is None or uses_product(change) or isinstance(change, Decomposed)
    # No numbers at all where none are read: nothing can be computed with them by mistake.
    product = linear(x, weight()) if needed else x.new_empty(*x.shape[:-1], 0)
    return Base(x, product, apply=lambda other: linear(other, weight()), weight=weight)


def _around(transformer: nn.Module, name: str) -> Iterator[tuple[str, str]]:
    parts = name.split(".")[:-1]
    for length in range(1, len(parts) + 1):
        outer = ".".join(parts[:length])
        yield outer, type(transformer.get_submodule(outer)).__name__
