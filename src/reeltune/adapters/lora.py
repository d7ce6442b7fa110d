"""LoRA through PEFT: its layers and forward, with our own starts and number types.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from torch import Generator, Tensor, nn

from reeltune.adapters.changes import Change, Decomposed, LowRank
from reeltune.adapters.layers import is_quantized, plain_weight
from reeltune.adapters.lora_alone import added_by, stepping_aside
from reeltune.adapters.lora_given import refuse_two_starts, take_over
from reeltune.adapters.lora_layers import (
    ADAPTER,
    CastingLinear,
    Moved,
    MovedDown,
    MovedUp,
    RowLengths,
    down_of,
    lengths_of,
    up_of,
)
from reeltune.adapters.lora_start import DRAWN, FROM_BASE, require_directions
from reeltune.config.adapter import AdapterOptions
from reeltune.errors import ConfigError
from reeltune.modes import copy_all, holding, on_gradient


@dataclass(frozen=True)
class Lora:
    """A LoRA attached to a transformer. rank, alpha: the update is scaled by alpha / rank."""

    transformer: nn.Module
    rank: int
    alpha: float
    targets: tuple[str, ...]
    init_type: str = "default"

    @functools.cached_property
    def layers(self) -> dict[str, LoraLinear]:
        """The adapted layers by their names in the transformer."""
        return {
            name: module
            for name, module in self.transformer.named_modules()
            if isinstance(module, LoraLinear) and ADAPTER in module.lora_A
        }

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the trained tensors by the names that PEFT gives them in files."""
        tensors = {}
        for name, layer in self.layers.items():
            tensors[f"{name}.lora_A.weight"] = down_of(layer).weight
            tensors[f"{name}.lora_B.weight"] = up_of(layer).weight
            lengths = lengths_of(layer)
            if lengths is not None:
                tensors[f"{name}.lora_magnitude_vector.weight"] = lengths
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors, named as in `trainable`, into the adapter, in place. Names and sizes must be the same."""
        copy_all(self.trainable(), tensors)

    def fixed(self) -> dict[str, Tensor]:
        """Return the starting pairs that are kept beside the trained ones, if any."""
        return {
            f"{name}.{which}.start": half.start
            for name, layer in self.layers.items()
            for which, half in (("lora_A", down_of(layer)), ("lora_B", up_of(layer)))
            if isinstance(half, Moved)
        }

    def load_fixed(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the starting pairs, in place. Names and sizes must be the same."""
        copy_all(self.fixed(), tensors)

    def moved(self) -> None:
        """Nothing is kept that depends on the weights."""

    def on_gradient(self, act: Callable[[nn.Parameter], None]) -> None:
        """Have `act` called in each backward pass from now on: once with each trained tensor, its gradient whole."""
        on_gradient(self.trainable(), act)

    def disabled(self) -> AbstractContextManager[None]:
        """Let the transformer answer as the bare base for as long as the block lasts, to the bit.

        Another adapter may be loaded and made active inside; one that was active is to be deleted after the block,
        since PEFT then makes the next one active.
        """
        return stepping_aside(self.transformer)

    def holding(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Act with other tensors of the same names for as long as the block lasts; empty keeps its own."""
        return holding(self.trainable(), tensors)

    def changes(self) -> dict[str, Change]:
        """Return what acts now, by layer; the tensors are the adapter's own wherever they need no copy."""
        return {name: _change(layer) for name, layer in self.layers.items()}

    def acting(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer's own forward adds to its output for float32 inputs (n, in), without dropout."""
        return added_by(self.layers[name], x)

    def start_from(self, changes: Mapping[str, Change]) -> None:
        """Take over the weights of a file. Raises ConfigError that names the first thing that does not fit."""
        if self.init_type != "default":
            refuse_two_starts(self.init_type)
        take_over(self.layers, changes)


def attach_lora(transformer: nn.Module, options: AdapterOptions, targets: Sequence[str], *, seed: int) -> Lora:
    """Add a LoRA to linear layers. At first it changes nothing, to the bit.

    targets: names of layers, or endings of names at a dot.
    seed: of what is drawn, on the host in float32, so that it is the same on every device and base.
    Raises ConfigError for a target that no layer has, and for what a layer's size or number type does not allow.
    """
    alpha = options.lora_rank if options.lora_alpha is None else options.lora_alpha
    layers = _named(transformer, targets)
    _require_fit(options, layers)
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType]  # PEFT divides, whole or not
        lora_dropout=options.lora_dropout,
        # As a pattern of whole names: of a list PEFT would take the names for endings.
        target_modules="|".join(re.escape(name) for name in layers),
        use_dora=options.use_dora,
    )
    _attach(transformer, config)
    lora = Lora(transformer, options.lora_rank, float(alpha), tuple(targets), options.lora_init_type)
    assert lora.layers.keys() == layers.keys()
    generator = torch.Generator().manual_seed(seed)
    for layer in lora.layers.values():
        _start(layer, options.lora_init_type, generator)
    return lora


def _named(transformer: nn.Module, targets: Sequence[str]) -> dict[str, nn.Linear]:
    """Return the linear layers whose names are, or end in, one of the targets; in the order of the modules."""
    linears = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    chosen: set[str] = set()
    for target in targets:
        found = [target] if target in linears else [name for name in linears if name.endswith(f".{target}")]
        if not found:
            raise ConfigError(f"peft_lora_target_modules: no linear layer of the model is called {target!r}")
        chosen.update(found)
    return {name: layer for name, layer in linears.items() if name in chosen}


def _require_fit(options: AdapterOptions, layers: Mapping[str, nn.Linear]) -> None:
    """Refuse what cannot be, before anything is attached."""
    sizes = {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}
    require_directions(options.lora_init_type, options.lora_rank, sizes)
    quantized = next((name for name, layer in layers.items() if is_quantized(layer)), None)
    if options.use_dora and quantized:
        raise ConfigError(
            f"use_dora: {quantized} is quantized. DoRA trains the lengths of the weight's rows, and those of weights "
            "rounded to 8 bits are not those of the base that the file is for. Set base_model_precision=no_change, or "
            "use_dora=false."
        )


def _attach(transformer: nn.Module, config: LoraConfig) -> None:
    # Diffusers keeps books on adapters; without its own method a second one could not be loaded for rendering.
    if hasattr(transformer, "add_adapter"):
        transformer.add_adapter(config, adapter_name=ADAPTER)  # pyright: ignore[reportCallIssue]
    else:
        inject_adapter_in_model(config, transformer, adapter_name=ADAPTER)


@torch.no_grad()
def _start(layer: LoraLinear, init_type: str, generator: Generator) -> None:
    """Replace PEFT's parts of a layer by ours, which hold the start."""
    layer.cast_input_dtype_enabled = False
    base, rank, scale = layer.get_base_layer(), layer.r[ADAPTER], layer.scaling[ADAPTER]
    assert isinstance(base, nn.Linear)
    if init_type in FROM_BASE:
        first, second = FROM_BASE[init_type](plain_weight(base).float(), rank, scale, generator)
        down, up = MovedDown(first), MovedUp(second)
    else:
        drawn, place = DRAWN[init_type]((rank, base.in_features), generator), base.weight.device
        down, up = CastingLinear(drawn.to(place)), CastingLinear(torch.zeros(base.out_features, rank, device=place))
    layer.lora_A[ADAPTER], layer.lora_B[ADAPTER] = down, up
    if layer.use_dora[ADAPTER]:
        layer.lora_magnitude_vector[ADAPTER] = RowLengths(base.weight, down, up, scale)


@torch.no_grad()
def _change(layer: LoraLinear) -> Change:
    pair = LowRank(down_of(layer).acting().detach(), up_of(layer).acting().detach(), layer.scaling[ADAPTER])
    lengths = lengths_of(layer)
    return pair if lengths is None else Decomposed(pair, lengths.detach()[:, None])
