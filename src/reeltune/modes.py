"""Modules in another state for a while: in evaluation, or with other weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Leave out dropout and the like as long as the block lasts; the module is as before afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


@contextmanager
def holding(parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Let parameters hold the tensors of the same names for as long as the block lasts."""
    # Exchanged and not copied: what comes back is the same memory, to the bit, and no second adapter needs room.
    own = {name: parameters[name].data for name in tensors}
    try:
        for name, tensor in tensors.items():
            parameters[name].data = tensor.to(own[name].device, own[name].dtype)
        yield
    finally:
        for name, data in own.items():
            parameters[name].data = data
