"""Loading a component into eight bits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TypeVar

import torch
from torch import nn

from reeltune.families.loading import frozen
from reeltune.families.opening import NO_CHANGE
from reeltune.quantize.apply import quantize_linears

log = logging.getLogger(__name__)

Module = TypeVar("Module", bound=nn.Module)


def load_in(
    precision: str,
    load: Callable[[torch.device], Module],
    *,
    names: Callable[[Module], Collection[str]],
    via: str,
    device: torch.device,
) -> Module:
    """Load a module and return it, frozen, on the device, with its named linear layers in a precision.

    via: cpu, so that the device never holds more than the quantized weights; or accelerator.
    """
    if precision == NO_CHANGE:
        return load(device)
    module = load(torch.device("cpu") if via == "cpu" else device)
    log.info("quantizing to %s", precision)
    quantize_linears(module, precision, names=names(module))
    return frozen(module, device)
