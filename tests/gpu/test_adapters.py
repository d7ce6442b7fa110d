"""What only a CUDA device can show of adapters: in training nothing makes the host wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from reeltune.adapters.layers import layers_of
from reeltune.adapters.lora import attach_lora
from reeltune.adapters.lycoris import attach_lycoris
from reeltune.config.adapter import AdapterOptions
from reeltune.config.lycoris import lycoris_of
from reeltune.config.lycoris_choice import chosen_for_lycoris
from reeltune.families.wan.description import FACTS

pytest.importorskip("lycoris")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch sees none"),
]

DEVICE = torch.device("cuda")
DROPOUTS = {"dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2}
LORAS: dict[str, dict[str, Any]] = {
    "standard": {},
    "dora": {"use_dora": True},
    "pissa": {"lora_init_type": "pissa"},
}
"""Of PEFT."""
ALGORITHMS = ("lora", "loha", "lokr", "full", "ia3", "dylora", "diag-oft", "boft", "glora")
"""Of LyCORIS."""


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    """Raise an error wherever the host waits for the device."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def attach(kind: str, model: nn.Module) -> None:
    if kind in LORAS:
        attach_lora(model, AdapterOptions(lora_rank=4, lora_dropout=0.2, **LORAS[kind]), ["proj"], seed=1)
        return
    config = lycoris_of({"algo": kind, "multiplier": 1, "linear_dim": 4, "linear_alpha": 2, **DROPOUTS})
    attach_lycoris(model, config, chosen_for_lycoris(layers_of(model), config, FACTS), seed=1)


@pytest.mark.parametrize("kind", [*LORAS, *ALGORITHMS])
def test_nothing_waits_for_the_device_in_training(kind: str) -> None:
    model = nn.ModuleDict({"proj": nn.Linear(64, 64)}).requires_grad_(False).to(DEVICE, torch.bfloat16).train()
    attach(kind, model)
    x = torch.randn(2, 7, 64, device=DEVICE, dtype=torch.bfloat16)
    model["proj"](x).float().square().mean().backward()  # what libraries set up at their first use may wait
    with waiting_forbidden():
        model["proj"](x).float().square().mean().backward()
