"""Rendering takes what it needs from the model's facts, and its schedule once per video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler

from reeltune.contracts.family import RenderRequest
from reeltune.families.wan.family import Wan

CPU = torch.device("cpu")


def request(**changes: Any) -> RenderRequest:
    text = torch.randn(9, 32, generator=torch.Generator().manual_seed(0))
    base = RenderRequest(
        prompt=text, negative=text[:3], width=96, height=64, frames=5, steps=2, guidance=5.0, seed=1, flow_shift=None
    )
    return replace(base, **changes)


def test_prompts_are_padded_to_the_length_that_the_model_reads(wan: Wan) -> None:
    short = replace(wan, facts=replace(wan.facts, text_length=40))
    transformer, lengths = short.load_transformer(CPU), []
    transformer.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    with short.renderer(transformer, CPU) as render:
        render(request(), None)
    assert set(lengths) == {40}


def test_a_schedule_is_made_once_per_video(wan: Wan, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts = []
    original = UniPCMultistepScheduler.__init__

    def counting(self: UniPCMultistepScheduler, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        shifts.append(self.config["flow_shift"])

    counting.__wrapped__ = original  # diffusers reads the options' names from the signature
    monkeypatch.setattr(UniPCMultistepScheduler, "__init__", counting)
    with wan.renderer(wan.load_transformer(CPU), CPU) as render:
        for shift in (None, 7.0):
            render(request(flow_shift=shift), None)
    assert shifts == [3.0, 7.0]


def test_a_request_without_a_shift_takes_the_models_own(wan: Wan) -> None:
    with wan.renderer(wan.load_transformer(CPU), CPU) as render:
        own, same, other = (render(request(flow_shift=shift), None) for shift in (None, 3.0, 9.0))
    assert (own == same).all()
    assert (own != other).any()
