"""Linear layers into eight bits while their module is read: one after the other, so that no second one is whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from reeltune.families.loading import trim_host_memory
from reeltune.families.opening import NO_CHANGE
from reeltune.quantize.apply import quantize_linear
from reeltune.quantize.packages import require_package

HOST = torch.device("cpu")


@dataclass(frozen=True)
class Quantizing:
    """How a module is quantized.

    precision: no_change, or one of `quantize`. via: where a layer is whole for a moment; cpu, so that the device never
    holds more than 8-bit weights, or accelerator, which is faster.
    """

    precision: str = NO_CHANGE
    via: str = "cpu"

    def __post_init__(self) -> None:
        if self.active:
            require_package(self.precision)

    @property
    def active(self) -> bool:
        return self.precision != NO_CHANGE

    def first_place(self, device: torch.device) -> torch.device:
        """Return where the tensors of a layer go that is to be quantized and to end on the device."""
        return HOST if self.via == "cpu" else device

    def finish(self, module: nn.Module, layer: str, device: torch.device) -> None:
        """Quantize a linear layer whose tensors are there, by its name, and bring it to the device."""
        quantize_linear(module, layer, self.precision)
        module.get_submodule(layer).to(device)
        trim_host_memory()


UNCHANGED = Quantizing()
