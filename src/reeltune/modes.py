"""Modules in another state: in evaluation or with other weights for a while, or with the numbers of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
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


@torch.no_grad()
def copy_all(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names, in place. Names and sizes must be the same: nothing is spread out."""
    assert own.keys() == tensors.keys(), sorted(own.keys() ^ tensors.keys())
    for name, tensor in own.items():
        assert tensor.shape == tensors[name].shape, (name, tensor.shape, tensors[name].shape)
        tensor.copy_(tensors[name])


def on_gradient(parameters: Mapping[str, nn.Parameter], act: Callable[[nn.Parameter], None]) -> None:
    """Have `act` called in each backward pass from now on: once with each parameter, its gradient whole."""
    for parameter in parameters.values():
        # torch hands over a Tensor by its declaration, and the parameter itself in fact.
        parameter.register_post_accumulate_grad_hook(lambda _, parameter=parameter: act(parameter))
