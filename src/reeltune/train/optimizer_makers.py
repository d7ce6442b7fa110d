"""How the optimizers of each library are made, and what of theirs has to be adapted to a run that saves and resumes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

log = logging.getLogger(__name__)

Settings = dict[str, Any]
"""Keyword arguments by the library's own names."""

Factory = Callable[[Sequence[nn.Parameter], float, Settings], Optimizer]

SOAP_LIMIT = 1024
"""Longest side of a matrix that SOAP keeps a basis for: two squares of it, 190 times a LoRA of rank 16 over 1536."""


def torch_own(kind: str, **row: Any) -> Factory:
    """row: settings that differ from torch's."""
    return lambda parameters, rate, settings: getattr(torch.optim, kind)(parameters, lr=rate, **(row | settings))


def optimi(kind: str) -> Factory:
    def build(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
        import optimi as library

        return getattr(library, kind)(parameters, lr=rate, **settings)

    return build


def torchao(kind: str) -> Factory:
    def build(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
        import torchao.optim

        on_host = parameters[0].device.type == "cpu"
        bases = (_Uncompiled, getattr(torchao.optim, kind)) if on_host else (getattr(torchao.optim, kind),)
        return type(kind, bases, {})(parameters, lr=rate, **settings)

    return build


def bnb(kind: str, *, paged: bool = False) -> Factory:
    """paged: the state lies in memory that the driver moves to the host when the device is full."""

    def build(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
        import bitsandbytes

        on_host = parameters[0].device.type == "cpu"
        if paged and on_host:
            log.warning("the optimizer's state is not paged: the trained weights are on the CPU")
        flat = type(kind, (_FlatState, getattr(bitsandbytes.optim, kind)), {})
        paging = {"is_paged": True} if paged and not on_host else {}
        return flat(parameters, lr=rate, **paging, **settings)  # pyright: ignore[reportCallIssue]

    return build


def prodigy(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
    """Return Prodigy with schedule-free averaging, of prodigy-plus-schedule-free."""
    from prodigyplus import ProdigyPlusScheduleFree

    # There is one group, so nothing is split; asked to split, it would print that it does not.
    kind = type("ProdigyPlusScheduleFree", (_VersionTold, ProdigyPlusScheduleFree), {})
    return kind(parameters, lr=rate, split_groups=False, **settings)


def schedule_free(**row: Any) -> Factory:
    """row: settings that differ from the library's."""

    def build(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
        from schedulefree import AdamWScheduleFree

        optimizer = AdamWScheduleFree(parameters, lr=rate, **(row | settings))
        optimizer.train()
        return optimizer

    return build


def soap(parameters: Sequence[nn.Parameter], rate: float, settings: Settings) -> Optimizer:
    """Return SOAP of pytorch-optimizer, one-sided where a side is longer than SOAP_LIMIT.

    One-sided SOAP is of Vyas et al. 2024, arXiv:2409.11321, section 7.
    """
    from pytorch_optimizer import SOAP

    return SOAP(parameters, lr=rate, **{"max_precondition_dim": SOAP_LIMIT, **settings})


class _FlatState:
    """Lets a bitsandbytes optimizer tell its state as torch's do: a flat row of tensors and numbers per parameter.

    Its own puts the tensors one level deeper, to hide them from FSDP; it reads both.
    """

    def state_dict(self) -> dict[str, Any]:
        assert isinstance(self, Optimizer)
        return Optimizer.state_dict(self)


class _Uncompiled:
    """Lets a torchao optimizer step without compiling its step, which on a CPU would ask for a C++ compiler."""

    def step(self, closure: Any = None) -> Any:
        with torch.compiler.set_stance("force_eager"):
            return super().step(closure)  # pyright: ignore[reportAttributeAccessIssue]


class _VersionTold:
    """Lets Prodigy know its own version again: it compares with a tuple, and JSON has lists only."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        groups = [
            {**group, "optimiser_version": tuple(group["optimiser_version"])} for group in state_dict["param_groups"]
        ]
        super().load_state_dict({**state_dict, "param_groups": groups})  # pyright: ignore[reportAttributeAccessIssue]
