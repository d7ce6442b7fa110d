"""What a mask leaves out teaches the real tiny model nothing, to the bit."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from helpers.tiny import random_batch
from reeltune.contracts.batch import Batch, Noised
from reeltune.families.wan.family import Wan
from reeltune.objective.flow import FlowMatching
from reeltune.randomness import Draws

OBJECTIVE = FlowMatching(Draws(4))


def left_half_counts() -> Batch:
    batch = random_batch()
    mask = torch.zeros(2, 5, 8, 12)
    mask[..., :6] = 1
    return replace(batch, mask=mask)


def gradients(wan: Wan, transformer: nn.Module, noised: Noised, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the gradients of the loss: of the velocity, and of each weight."""
    transformer.zero_grad(set_to_none=True)
    velocity = wan.predict(transformer, noised, batch)
    velocity.retain_grad()
    OBJECTIVE.loss(velocity, noised).mean().backward()
    assert velocity.grad is not None
    return velocity.grad, {name: p.grad for name, p in transformer.named_parameters() if p.grad is not None}


def test_what_is_black_has_no_gradient_and_no_influence_on_any_weight(wan: Wan) -> None:
    transformer = wan.load_transformer(torch.device("cpu")).requires_grad_(True)
    batch = left_half_counts()
    noised = OBJECTIVE.noise(batch, step=0, first_index=0)
    of_velocity, of_weights = gradients(wan, transformer, noised, batch)
    assert torch.count_nonzero(of_velocity[..., 6:]) == 0
    assert torch.count_nonzero(of_velocity[..., :6]) == of_velocity[..., :6].numel()
    assert any(bool(gradient.any()) for gradient in of_weights.values())
    other = noised.target.clone()
    other[..., 6:] += 100
    _, without = gradients(wan, transformer, replace(noised, target=other), batch)
    assert of_weights.keys() == without.keys()
    assert [name for name in of_weights if not torch.equal(of_weights[name], without[name])] == []
    # A check of the check: what is white matters.
    other[..., :6] += 1
    _, changed = gradients(wan, transformer, replace(noised, target=other), batch)
    assert not all(torch.equal(of_weights[name], changed[name]) for name in of_weights)
