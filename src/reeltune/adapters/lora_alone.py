"""A transformer's base without its LoRA, and a LoRA's layer without its base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from reeltune.adapters.lora_layers import lengths_of, up_of
from reeltune.modes import in_evaluation


@contextmanager
def stepping_aside(transformer: nn.Module) -> Iterator[None]:
    """Take every adapter off the list of active ones as long as the block lasts; afterwards all is as before.

    PEFT's switch for all adapters at once would also silence one that is put on inside the block.
    """
    layers = [layer for layer in transformer.modules() if isinstance(layer, BaseTunerLayer)]
    active = [(layer, layer.active_adapters, not layer.disable_adapters) for layer in layers]
    # PEFT takes inactive adapters for frozen ones, and active ones for trained ones.
    moving = [(parameter, parameter.requires_grad) for parameter in transformer.parameters()]
    try:
        for layer in layers:
            layer.set_adapter([])
        yield
    finally:
        for layer, names, enabled in active:
            layer.enable_adapters(enabled)
            layer.set_adapter(names)
        for parameter, moves in moving:
            parameter.requires_grad_(moves)


class _Silent(nn.Module):
    """Stands for a base layer with all weights 0."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, input: Tensor) -> Tensor:
        return input.new_zeros(*input.shape[:-1], self.outputs)


@torch.no_grad()
def added_by(layer: LoraLinear, x: Float[Tensor, "n in"]) -> Float[Tensor, "n out"]:
    """Return what a LoRA layer's own forward adds to its base's output, for float32 inputs, in evaluation."""
    x = x.to(up_of(layer).weight.device)
    if lengths_of(layer) is None:
        with in_evaluation(layer), _on(layer, _Silent(up_of(layer).out_features)):
            return layer(x)
    # The whole base is part of DoRA's answer. In float64, since a small change would be lost in the difference.
    base = _in_float64(layer.get_base_layer())
    with in_evaluation(layer), _on(layer, base):
        return (layer(x.double()) - base(x.double())).float()


@contextmanager
def _on(layer: LoraLinear, base: nn.Module) -> Iterator[None]:
    """Let a LoRA act on another base layer for as long as the block lasts."""
    own = layer.base_layer
    layer.base_layer = base
    try:
        yield
    finally:
        layer.base_layer = own


def _in_float64(layer: nn.Module) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    copy = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    copy.weight = nn.Parameter(layer.weight.detach().double(), requires_grad=False)
    if layer.bias is not None:
        copy.bias = nn.Parameter(layer.bias.detach().double(), requires_grad=False)
    return copy
