"""Validation videos by the stock pipeline, with the transformer that is in training.

The weights that are shown are those of a file, read by diffusers' own loader into the resident base as a second
adapter; the adapter in training steps aside for as long, and is back in place afterwards, whatever happened.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

from reeltune.contracts.family import Render, RenderRequest
from reeltune.families.loading import read_config, release_memory
from reeltune.families.wan.encoders import load_vae, padded

_SHOWN = "shown"


@contextmanager
def renderer(
    transformer: WanTransformer3DModel,
    *,
    vae_folder: Path,
    scheduler_folder: Path,
    text_length: int,
    device: torch.device,
) -> Iterator[Render]:
    """Open a renderer around the transformer; the autoencoder is loaded for as long as it is open.

    text_length: tokens that the transformer reads, padding included.
    """
    schedule = read_config(scheduler_folder, "scheduler_config.json")
    pipeline = WanPipeline(
        tokenizer=None,  # pyright: ignore[reportArgumentType]  # prompts arrive encoded
        text_encoder=None,  # pyright: ignore[reportArgumentType]
        vae=load_vae(vae_folder, device),
        scheduler=None,  # pyright: ignore[reportArgumentType]  # each request brings its own
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)

    def render(request: RenderRequest, adapter: Path | None) -> np.ndarray:
        pipeline.scheduler = _scheduler(schedule, request.flow_shift)
        with _in_evaluation(transformer), _wearing(pipeline, adapter):
            return _frames(pipeline, request, text_length, device)

    try:
        yield render
    finally:
        del pipeline
        release_memory(device)


def _scheduler(config: dict[str, Any], flow_shift: float | None) -> UniPCMultistepScheduler:
    changes = {} if flow_shift is None else {"flow_shift": flow_shift}
    return UniPCMultistepScheduler.from_config(config | changes)  # pyright: ignore[reportReturnType]


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
def _in_evaluation(transformer: WanTransformer3DModel) -> Iterator[None]:
    was_training = transformer.training
    transformer.eval()
    try:
        yield
    finally:
        transformer.train(was_training)


@contextmanager
def _wearing(pipeline: WanPipeline, adapter: Path | None) -> Iterator[None]:
    """Show the weights of a file, or the bare base for None, in place of the adapter in training."""
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
            transformer.delete_adapters(_SHOWN)


def _put_on(pipeline: WanPipeline, adapter: Path) -> None:
    with warnings.catch_warnings():
        # PEFT advises against a second adapter; here it is the point.
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
        pipeline.load_lora_weights(str(adapter.parent), weight_name=adapter.name, adapter_name=_SHOWN)
    pipeline.set_adapters([_SHOWN])
