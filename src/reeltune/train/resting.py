"""Optimizers that train at one point and mean another one to be used, as schedule-free ones do.

They have two modes. In training, the weights are where gradients are taken (y in Defazio et al. 2024,
arXiv:2405.15682); at rest they are the average that is published (x). Going from one to the other and back loses the
last bits, so what was there is put back, and training never notices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer


def has_modes(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer trains other weights than it means to be used."""
    has_both = callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))
    # Prodigy can be told to train the weights themselves.
    return has_both and all(group.get("use_schedulefree", True) for group in optimizer.param_groups)


@contextmanager
def at_rest(optimizer: Optimizer) -> Iterator[None]:
    """Let the weights be those that are meant to be used for as long as the block lasts; to the bit as before after it.

    Needs room for the weights once more.
    """
    if not has_modes(optimizer):
        yield
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    own = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        optimizer.train()  # pyright: ignore[reportAttributeAccessIssue]
        with torch.no_grad():
            torch._foreach_copy_(parameters, own)
