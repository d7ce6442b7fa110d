"""Rendering takes what it needs from the model's facts, and leaves the model in training as it found it."""

from __future__ import annotations

import gc
import weakref
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AttentionBackendName, AutoencoderKLWan, UniPCMultistepScheduler
from diffusers.models.attention_dispatch import _AttentionBackendRegistry
from torch import nn

from reeltune.adapters.about import About
from reeltune.adapters.layouts import write_adapter
from reeltune.adapters.lora import Lora, attach_lora
from reeltune.config.adapter import AdapterOptions
from reeltune.config.attention import ATTENTION
from reeltune.contracts.family import RenderRequest, SkipLayers
from reeltune.errors import ModelError
from reeltune.families.wan import autoencoder
from reeltune.families.wan.family import Wan
from reeltune.families.wan.skip_layers import skipping
from reeltune.machine.packages import PACKAGES

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


def active_backend() -> str:
    return _AttentionBackendRegistry.get_active_backend()[0]


def own_backends(transformer: Any) -> list[Any]:
    return [processor._attention_backend for processor in transformer.attn_processors.values()]


def test_an_attention_is_used_for_the_time_of_the_video(wan: Wan) -> None:
    transformer: Any = wan.load_transformer(CPU)
    used = set()
    # One layer has a backend of its own, as training may have set it.
    transformer.blocks[2].attn1.processor._attention_backend = AttentionBackendName.NATIVE
    before = own_backends(transformer)
    transformer.blocks[2].attn1.register_forward_hook(
        lambda module, args, output: used.add((active_backend(), module.processor._attention_backend))
    )
    with wan.renderer(transformer, CPU) as render:
        render(request(attention="_native_math"), None)
    assert used == {(AttentionBackendName._NATIVE_MATH, None)}
    assert active_backend() == AttentionBackendName.NATIVE
    assert own_backends(transformer) == before


@pytest.mark.parametrize("name", [name for name, kernel in ATTENTION.items() if kernel])
def test_a_kernel_that_is_not_installed_is_an_error_that_names_its_package(wan: Wan, name: str) -> None:
    kernel = ATTENTION[name]
    assert kernel
    with wan.renderer(wan.load_transformer(CPU), CPU) as render:
        with pytest.raises(RuntimeError, match=f"{kernel.package}>={PACKAGES[kernel.package].at_least}"):
            render(request(attention=kernel.backend), None)
        assert active_backend() == AttentionBackendName.NATIVE


def test_a_pipeline_that_does_not_name_its_passes_is_an_error(wan: Wan) -> None:
    transformer: Any = wan.load_transformer(CPU)
    skip = SkipLayers((9,), 0.0, 1.0)
    with pytest.raises(ModelError, match="saw 0 of 2 steps"), skipping(transformer, skip, steps=2):
        pass


def everything_of(transformer: Any, lora: Lora) -> dict[str, Any]:
    """Return all that a render could leave changed; tensors as numbers, modules as themselves."""
    return {
        "modules": dict(transformer.named_modules()),
        "parameters": dict(transformer.named_parameters()),
        "values": {name: tensor.clone() for name, tensor in transformer.state_dict().items()},
        "trained": [name for name, parameter in transformer.named_parameters() if parameter.requires_grad],
        "adapters": (transformer.active_adapters(), list(transformer.peft_config)),
        "training": {name: module.training for name, module in transformer.named_modules()},
        "backends": (active_backend(), own_backends(transformer)),
        "methods": "cache_context" in vars(transformer),
        "lora": list(lora.trainable()),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    values = before.pop("values"), after.pop("values")
    assert values[0].keys() == values[1].keys()
    assert all(torch.equal(values[0][name], values[1][name]) for name in values[0])
    assert before == after


@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_a_render_leaves_everything_as_it_was(
    wan: Wan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    transformer: Any = wan.load_transformer(CPU)
    lora = attach_lora(transformer, AdapterOptions(lora_rank=2), wan.facts.adapter_targets, seed=0)
    transformer.train()
    file = tmp_path / "pytorch_lora_weights.safetensors"
    write_adapter(file, lora.changes(), "diffusers", About("some/base", "4fe", "lora"), wan.facts)
    vaes: list[weakref.ref[AutoencoderKLWan]] = []
    load_vae = autoencoder.load_vae

    def remembered(folder: Path, device: torch.device, **options: Any) -> AutoencoderKLWan:
        vae = load_vae(folder, device, **options)
        vaes.append(weakref.ref(vae))
        return vae

    monkeypatch.setattr(autoencoder, "load_vae", remembered)
    before = everything_of(transformer, lora)
    calls: list[int] = []

    def breaking(module: nn.Module, args: Any) -> None:
        calls.append(1)
        if fails and len(calls) == 4:  # the negative pass of the second step, with layers skipped
            raise RuntimeError("no memory left")

    handle = transformer.blocks[5].register_forward_pre_hook(breaking)
    wanted = request(attention="_native_math", skip_layers=SkipLayers((3, 9), 0.0, 1.0))
    with wan.renderer(transformer, CPU) as render:
        with pytest.raises(RuntimeError, match="no memory left") if fails else nullcontext():
            render(wanted, file)
        assert len(calls) == 4
    handle.remove()
    assert_same(before, everything_of(transformer, lora))
    gc.collect()
    assert [vae() for vae in vaes] == [None]
