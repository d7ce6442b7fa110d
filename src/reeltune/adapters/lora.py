"""LoRA through PEFT: weights in float32, multiplied in the base's number type.

PEFT would compute a float32 adapter on a bfloat16 base in float32, at several times the time and memory. Here the
float32 weights are what is optimized, and each use casts them to the type of the activations.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from reeltune.config.adapter import AdapterOptions

ADAPTER = "default"


class CastingLinear(nn.Linear):
    """A linear layer without bias whose weight is cast to its input's type at each use."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight.to(input.dtype))


@dataclass(frozen=True)
class Lora:
    """A LoRA attached to a transformer. rank, alpha: the update is scaled by alpha / rank."""

    transformer: nn.Module
    rank: int
    alpha: float
    targets: tuple[str, ...]

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the trained tensors by the names that PEFT gives them in files."""
        return {
            name.replace(f".{ADAPTER}.", "."): parameter
            for name, parameter in self.transformer.named_parameters()
            if parameter.requires_grad
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors, named as in `trainable`, into the adapter, in place. The names must be the same."""
        own = self.trainable()
        assert own.keys() == tensors.keys(), sorted(own.keys() ^ tensors.keys())
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Let the transformer answer as the bare base for as long as the block lasts, to the bit."""
        layers = [layer for layer in self.transformer.modules() if isinstance(layer, LoraLayer)]
        were = [layer.disable_adapters for layer in layers]
        try:
            for layer in layers:
                layer.enable_adapters(False)
            yield
        finally:
            for layer, was in zip(layers, were, strict=True):
                layer.enable_adapters(not was)


def attach_lora(transformer: nn.Module, options: AdapterOptions, targets: tuple[str, ...], *, seed: int) -> Lora:
    """Add a LoRA to the layers whose names end in `targets`. At first it changes nothing: B is zero.

    seed: of the random half A, drawn on the host in float32, so that it is the same on every device and base.
    """
    alpha = options.lora_rank if options.lora_alpha is None else options.lora_alpha
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType]  # PEFT divides, whole or not
        lora_dropout=options.lora_dropout,
        target_modules=list(targets),
    )
    _attach(transformer, config)
    generator = torch.Generator().manual_seed(seed)
    for layer in transformer.modules():
        if isinstance(layer, LoraLayer):
            _compute_in_input_type(layer)
            _draw_start(layer, generator)
    return Lora(transformer, rank=options.lora_rank, alpha=float(alpha), targets=targets)


def _attach(transformer: nn.Module, config: LoraConfig) -> None:
    # Diffusers keeps books on adapters; without its own method a second one could not be loaded for rendering.
    if hasattr(transformer, "add_adapter"):
        transformer.add_adapter(config, adapter_name=ADAPTER)  # pyright: ignore[reportCallIssue]
    else:
        inject_adapter_in_model(config, transformer, adapter_name=ADAPTER)


def _compute_in_input_type(layer: LoraLayer) -> None:
    layer.cast_input_dtype_enabled = False
    for half in (layer.lora_A, layer.lora_B):
        linear = half[ADAPTER]
        assert isinstance(linear, nn.Linear)
        assert linear.bias is None
        casting = CastingLinear(linear.in_features, linear.out_features, bias=False, device="meta")
        casting.weight = nn.Parameter(linear.weight.detach().float())
        half[ADAPTER] = casting


@torch.no_grad()
def _draw_start(layer: LoraLayer, generator: torch.Generator) -> None:
    """Set A as PEFT does by default, uniform as in `nn.Linear`, and leave B at zero."""
    weight = layer.lora_A[ADAPTER].weight
    assert isinstance(weight, nn.Parameter)
    start = nn.init.kaiming_uniform_(torch.empty(weight.shape), a=math.sqrt(5), generator=generator)
    weight.copy_(start)
