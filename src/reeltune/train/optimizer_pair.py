"""Muon for matrices, with AdamW beside it for what is none, as one optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

ADAMS_RATES: dict[str, Any] = {"adjust_lr_fn": "match_rms_adamw"}
"""Updates as large as AdamW's (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both."""


def muon(parameters: Sequence[nn.Parameter], rate: float, settings: dict[str, Any]) -> Optimizer:
    """Return torch's Muon over the matrices; what else there is, such as biases, AdamW moves at the same rate.

    settings: of Muon; weight_decay is AdamW's as well.
    """
    matrices = [parameter for parameter in parameters if parameter.dim() == 2]
    others = [parameter for parameter in parameters if parameter.dim() != 2]
    parts: list[Optimizer] = []
    if matrices:
        parts.append(torch.optim.Muon(matrices, lr=rate, **(ADAMS_RATES | settings)))
    if others:
        decay = {name: value for name, value in settings.items() if name == "weight_decay"}
        parts.append(AdamW(others, lr=rate, fused=True, **decay))
    return parts[0] if len(parts) == 1 else Together(parts)


class Together(Optimizer):
    """Optimizers over different parameters that act as one: their groups in a row, their states in one table."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self._parts = tuple(parts)
        super().__init__([dict(group) for part in parts for group in part.param_groups], {})
        self._share()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for part in self._parts:
            part.step()

    def _share(self) -> None:
        """Let the parts work on the groups and the state that are known here."""
        first = 0
        for part in self._parts:
            behind = first + len(part.param_groups)
            part.param_groups = self.param_groups[first:behind]
            part.state = self.state
            first = behind
