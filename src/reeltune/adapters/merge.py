"""What an adapter does, put into the weights themselves: the merged model needs no adapter any more."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from reeltune.adapters.changes import Change, Dense
from reeltune.errors import ModelError, listed


@torch.no_grad()
def merge(transformer: nn.Module, changes: Mapping[str, Change], *, strength: float = 1.0) -> None:
    """Add strength * D to the weight of every changed layer, in place, and its change of the bias to the bias.

    changes: by the names of layers. The sum is made in float32, one layer at a time, and rounded once to the layer's
    own number type. Raises ModelError, before anything is changed, for layers that the transformer does not have or has
    quantized; and at the first layer, before it is changed, that has another size.
    """
    layers = dict(transformer.named_modules())
    problems = [problem for name in changes if (problem := _problem(name, layers.get(name), changes[name]))]
    if problems:
        raise ModelError(listed("the adapter cannot be merged into this transformer", problems))
    for name, change in changes.items():
        layer = layers[name]
        assert isinstance(layer, nn.Linear)
        _add(layer.weight, _matrix(name, change, layer.weight), strength)
        if (added := bias_of(change)) is not None:
            assert layer.bias is not None
            _add(layer.bias, added, strength)


def bias_of(change: Change) -> Tensor | None:
    """Return what a change adds to the bias (out) of its layer; None where nothing."""
    return change.bias * change.scale if isinstance(change, Dense) and change.bias is not None else None


def _matrix(name: str, change: Change, weight: Tensor) -> Tensor:
    matrix = change.matrix(weight.float())
    if matrix.shape != weight.shape:
        raise ModelError(
            f"the adapter cannot be merged into this transformer: it changes {name} as a layer of "
            f"{matrix.shape[1]} inputs and {matrix.shape[0]} outputs, which has {weight.shape[1]} and {weight.shape[0]}"
        )
    return matrix


def _add(tensor: Tensor, change: Tensor, strength: float) -> None:
    tensor.copy_(tensor.float() + strength * change.to(tensor.device, torch.float32))


def _problem(name: str, layer: nn.Module | None, change: Change) -> str | None:
    """Say why a change cannot be put into a layer, as far as it can be seen without working it out."""
    if layer is None:
        return f"{name}: there is no such layer"
    if not isinstance(layer, nn.Linear):
        return f"{name}: is a {type(layer).__name__}, not a linear layer"
    if type(layer.weight) is not nn.Parameter or not layer.weight.is_floating_point():
        return f"{name}: its weights are quantized; load the base with base_model_precision=no_change"
    if bias_of(change) is not None and layer.bias is None:
        return f"{name}: has no bias, and the adapter changes one"
    return None
