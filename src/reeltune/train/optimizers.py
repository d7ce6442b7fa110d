"""Optimizers by name: a table of factories, each from the library it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn
from torch.optim import AdamW, Optimizer

Factory = Callable[[Sequence[nn.Parameter], float], Optimizer]


def build_optimizer(name: str, parameters: Sequence[nn.Parameter], *, learning_rate: float) -> Optimizer:
    """Return the optimizer of that name over the parameters."""
    return _FACTORIES[name](parameters, learning_rate)


def _torch_adamw(parameters: Sequence[nn.Parameter], learning_rate: float) -> Optimizer:
    return AdamW(parameters, lr=learning_rate, betas=(0.9, 0.999), weight_decay=1e-2, fused=True)


def _optimi_adamw(parameters: Sequence[nn.Parameter], learning_rate: float) -> Optimizer:
    from optimi import AdamW as OptimiAdamW

    return OptimiAdamW(parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-2)


def _optimi_lion(parameters: Sequence[nn.Parameter], learning_rate: float) -> Optimizer:
    from optimi import Lion

    return Lion(parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)


_FACTORIES: dict[str, Factory] = {
    "torch-adamw": _torch_adamw,
    "optimi-adamw": _optimi_adamw,
    "optimi-lion": _optimi_lion,
}
