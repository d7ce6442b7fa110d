"""Validation videos by the stock pipeline, with the transformer that is in training.

An adapter that is shown is read from its file into the resident base: a LoRA by diffusers' own loader, as a second
adapter, a LyCORIS file by the rules of its keys. Attention and blocks are back in place afterwards, whatever happened.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel, attention_backend

from reeltune.adapters.layouts import read_adapter
from reeltune.adapters.wearing import wearing
from reeltune.contracts.family import Render, RenderRequest
from reeltune.families.loading import release_memory
from reeltune.families.sources import read_config
from reeltune.families.wan.encoders import padded
from reeltune.families.wan.sampler import make_scheduler
from reeltune.families.wan.skip_layers import skipping
from reeltune.families.wan.variants import WAN_21
from reeltune.families.weight_files import read_header
from reeltune.modes import in_evaluation

_SHOWN = "shown"


@contextmanager
def renderer(
    transformer: WanTransformer3DModel,
    *,
    vae: AutoencoderKLWan,
    scheduler_folder: Path,
    text_length: int,
    device: torch.device,
) -> Iterator[Render]:
    """Open a renderer around the transformer.

    text_length: tokens that the transformer reads, padding included.
    """
    schedule = read_config(scheduler_folder, "scheduler_config.json")
    pipeline = WanPipeline(
        tokenizer=None,  # pyright: ignore[reportArgumentType]  # prompts arrive encoded
        text_encoder=None,  # pyright: ignore[reportArgumentType]
        vae=vae,
        scheduler=None,  # pyright: ignore[reportArgumentType]  # each request brings its own
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)

    def render(request: RenderRequest, adapter: Path | None) -> np.ndarray:
        pipeline.scheduler = make_scheduler(schedule, request.flow_shift, name=request.noise_scheduler)
        with (
            in_evaluation(transformer),
            _wearing(pipeline, adapter, request.strength),
            _attending(transformer, request.attention),
            _guided(transformer, request),
        ):
            return _frames(pipeline, request, text_length, device)

    try:
        yield render
    finally:
        del pipeline
        release_memory(device)


def _frames(pipeline: WanPipeline, request: RenderRequest, text_length: int, device: torch.device) -> np.ndarray:
    guided = request.guidance > 1
    video = pipeline(
        prompt_embeds=padded(request.prompt[None], text_length).to(device),
        negative_prompt_embeds=padded(request.negative[None], text_length).to(device) if guided else None,
        width=request.width,
        height=request.height,
        num_frames=request.frames,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="np",
        return_dict=False,
    )[0][0]
    return (np.asarray(video) * 255).round().astype(np.uint8)


@contextmanager
def _attending(transformer: WanTransformer3DModel, backend: str | None) -> Iterator[None]:
    """Let the transformer compute attention with another backend; the autoencoder keeps PyTorch's own.

    Raises RuntimeError, with what to install, when the backend is not there.
    """
    if backend is None:
        yield
        return
    processors = list(transformer.attn_processors.values())
    own = [processor._attention_backend for processor in processors]  # pyright: ignore[reportAttributeAccessIssue]
    # Not `set_attention_backend`: resetting it forgets what was set before, for the layers and for the process.
    with attention_backend(backend):
        _set_backends(processors, [None] * len(own))  # none of their own: that of the process counts
        try:
            yield
        finally:
            _set_backends(processors, own)


def _set_backends(processors: Sequence[Any], backends: Sequence[Any]) -> None:
    for processor, backend in zip(processors, backends, strict=True):
        processor._attention_backend = backend


def _guided(transformer: WanTransformer3DModel, request: RenderRequest) -> AbstractContextManager[None]:
    # Without guidance there is no pass for the negative prompt, and nothing to leave blocks out of.
    if request.skip_layers is None or request.guidance <= 1:
        return nullcontext()
    return skipping(transformer, request.skip_layers, steps=request.steps)


def _wearing(pipeline: WanPipeline, adapter: Path | None, strength: float) -> AbstractContextManager[None]:
    """Show the weights of a file, in place of a LoRA in training if there is one; None shows the base without it."""
    if adapter is None or _is_for_diffusers(adapter):
        return _wearing_lora(pipeline, adapter)
    assert pipeline.transformer is not None
    return wearing(pipeline.transformer, read_adapter(adapter, WAN_21).changes, strength=strength)


def _is_for_diffusers(adapter: Path) -> bool:
    return all(name.startswith("transformer.") for name in read_header(adapter).shapes)


@contextmanager
def _wearing_lora(pipeline: WanPipeline, adapter: Path | None) -> Iterator[None]:
    transformer = pipeline.transformer
    assert transformer is not None
    in_training = transformer.active_adapters() if getattr(transformer, "peft_config", None) else []
    try:
        if adapter is not None:
            _put_on(pipeline, adapter)
        elif in_training:
            transformer.disable_adapters()
        yield
    finally:
        if in_training:
            transformer.enable_adapters()
            transformer.set_adapter(in_training)
        if _SHOWN in getattr(transformer, "peft_config", {}):
            _take_off(transformer)


def _take_off(transformer: WanTransformer3DModel) -> None:
    with warnings.catch_warnings():
        # PEFT tells which adapter acts next; whoever set one aside brings it back.
        warnings.filterwarnings("ignore", f"Adapter {_SHOWN} was active", UserWarning)
        transformer.delete_adapters(_SHOWN)


def _put_on(pipeline: WanPipeline, adapter: Path) -> None:
    with warnings.catch_warnings():
        # PEFT advises against a second adapter; here it is the point.
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
        pipeline.load_lora_weights(str(adapter.parent), weight_name=adapter.name, adapter_name=_SHOWN)
    pipeline.set_adapters([_SHOWN])
