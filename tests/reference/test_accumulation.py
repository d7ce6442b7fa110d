"""Gradients of one micro-batch of N samples are those of any other division of the same N, on the tiny Wan."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers.tiny import random_batch
from reeltune.adapters.lora import attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.contracts.batch import Batch
from reeltune.demo.model import make_transformer
from reeltune.objective.flow import FlowMatching
from reeltune.randomness import Draws

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


def gradients(whole: Batch, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the gradients of a step over a batch that is divided so."""
    torch.manual_seed(5)
    transformer = make_transformer(1).requires_grad_(False).train()
    lora = attach_lora(transformer, AdapterOptions(lora_rank=4), TARGETS, seed=0)
    with torch.no_grad():
        for name, tensor in lora.trainable().items():
            if "lora_B" in name:  # zero at the start, which would leave half of the gradients zero
                tensor.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    objective, start = FlowMatching(Draws(0)), 0
    for size in sizes:
        end = start + size
        batch = replace(
            whole,
            latents=whole.latents[start:end],
            text=whole.text[start:end],
            ids=whole.ids[start:end],
            mask=None if whole.mask is None else whole.mask[start:end],
        )
        noised = objective.noise(batch, step=0, first_index=start)
        velocity = transformer(noised.x_t, 1000 * noised.sigma, batch.text, return_dict=False)[0]
        (objective.loss(velocity, noised).sum() / whole.size).backward()
        start = end
    found = {name: tensor.grad for name, tensor in lora.trainable().items() if tensor.grad is not None}
    assert found.keys() == lora.trainable().keys()
    return found


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_any_division_gives_the_same_gradients(masked: bool) -> None:
    whole = random_batch(size=4)
    whole = replace(whole, latents=whole.latents[:, :, :2])
    if masked:
        mask = torch.rand(4, *whole.latents.shape[2:], generator=torch.Generator().manual_seed(2)) > 0.4
        whole = replace(whole, mask=mask.float())
    together = gradients(whole, (4,))
    if masked:
        unmasked = gradients(replace(whole, mask=None), (4,))
        assert any(not torch.allclose(unmasked[name], together[name], rtol=1e-2) for name in together)
    for sizes in ((1, 1, 1, 1), (2, 2), (3, 1), (1, 3)):
        divided = gradients(whole, sizes)
        for name, gradient in together.items():
            # Sums of a few thousand products in another order: float32 rounding of the tensor's largest element.
            torch.testing.assert_close(divided[name], gradient, rtol=1e-4, atol=2e-6 * gradient.abs().max().item())
