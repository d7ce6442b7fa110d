"""Optimizers by name: a table of factories, each from the library it belongs to.

What a row does not set is as the library has it. Parameters are float32, as adapters are stored; the state of the
`8bit` ones is eight bits an element in tensors of 4096 elements or more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from reeltune.errors import ConfigError
from reeltune.train.optimizer_packages import require_package, without_package

log = logging.getLogger(__name__)

Factory = Callable[[Sequence[nn.Parameter], float], Optimizer]


def build_optimizer(name: str, parameters: Sequence[nn.Parameter], *, learning_rate: float) -> Optimizer:
    """Return the optimizer of that name over the parameters.

    Raises ConfigError when its package is missing, or is here and cannot be imported.
    """
    require_package(name)
    try:
        return FACTORIES[name](parameters, learning_rate)
    except ImportError as error:
        raise ConfigError(
            f"optimizer {name} cannot be used: its package is installed and cannot be imported: {error}. "
            f"Set optimizer to {without_package(name)}."
        ) from error


def _torch(kind: str, **settings: Any) -> Factory:
    return lambda parameters, rate: getattr(torch.optim, kind)(parameters, lr=rate, **settings)


def _optimi(kind: str) -> Factory:
    def build(parameters: Sequence[nn.Parameter], rate: float) -> Optimizer:
        import optimi

        return getattr(optimi, kind)(parameters, lr=rate)

    return build


def _bnb(kind: str, *, paged: bool = False) -> Factory:
    """paged: the state lies in memory that the driver moves to the host when the device is full."""

    def build(parameters: Sequence[nn.Parameter], rate: float) -> Optimizer:
        import bitsandbytes

        on_host = parameters[0].device.type == "cpu"
        if paged and on_host:
            log.warning("the optimizer's state is not paged: the trained weights are on the CPU")
        flat = type(kind, (_FlatState, getattr(bitsandbytes.optim, kind)), {})
        return flat(parameters, lr=rate, is_paged=paged and not on_host)  # pyright: ignore[reportCallIssue]

    return build


class _FlatState:
    """Lets a bitsandbytes optimizer tell its state as torch's do: a flat row of tensors and numbers per parameter.

    Its own puts the tensors one level deeper, to hide them from FSDP; it reads both.
    """

    def state_dict(self) -> dict[str, Any]:
        assert isinstance(self, Optimizer)
        return Optimizer.state_dict(self)


FACTORIES: dict[str, Factory] = {
    "torch-adam": _torch("Adam", fused=True),
    "torch-adamw": _torch("AdamW", fused=True),
    "torch-sgd": _torch("SGD"),
    "torch-radam": _torch("RAdam"),
    "torch-nadam": _torch("NAdam"),
    "torch-rmsprop": _torch("RMSprop"),
    "torch-adagrad": _torch("Adagrad"),
    "torch-adadelta": _torch("Adadelta"),
    "torch-adafactor": _torch("Adafactor"),
    "torch-adamax": _torch("Adamax"),
    "torch-asgd": _torch("ASGD"),
    "optimi-adam": _optimi("Adam"),
    "optimi-adamw": _optimi("AdamW"),
    "optimi-adan": _optimi("Adan"),
    "optimi-lion": _optimi("Lion"),
    "optimi-radam": _optimi("RAdam"),
    "optimi-ranger": _optimi("Ranger"),
    "optimi-sgd": _optimi("SGD"),
    "optimi-stableadamw": _optimi("StableAdamW"),
    "bnb-adamw": _bnb("AdamW"),
    "bnb-adamw-paged": _bnb("AdamW", paged=True),
    "bnb-adamw8bit": _bnb("AdamW8bit"),
    "bnb-adamw8bit-paged": _bnb("AdamW8bit", paged=True),
    "bnb-lion": _bnb("Lion"),
    "bnb-lion-paged": _bnb("Lion", paged=True),
    "bnb-lion8bit": _bnb("Lion8bit"),
    "bnb-lion8bit-paged": _bnb("Lion8bit", paged=True),
}
