"""From options to the requests for validation videos."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reeltune.cache.keys import digest_of
from reeltune.config.attention import ATTENTION, lacking
from reeltune.config.model import ModelOptions
from reeltune.config.rendering import RenderingOptions
from reeltune.config.root import Config
from reeltune.contracts.family import Family, RenderRequest, SkipLayers
from reeltune.run.prepare import Prepared
from reeltune.run.rendering_plan import Video, plan_rendering
from reeltune.train.render import NamedRequest, Renders
from reeltune.train.shown import Showing


def make_renders(
    config: Config,
    *,
    family: Family,
    transformer: nn.Module,
    prepared: Prepared,
    showing: Showing,
    device: torch.device,
) -> Renders | None:
    """Return the validation videos of a run; None where there is no prompt."""
    plan, folder = plan_rendering(config, family.facts), config.reporting.run_folder
    if not plan.videos:
        return None
    common: dict[str, Any] = {
        "frames": plan.frames,
        "skip_layers": skip_layers_of(config.rendering),
        "attention": attention_of(config.model, device),
    }
    requests = [_request(config, prepared, video, common) for video in plan.videos]
    return Renders(
        folder=folder / "validation",
        requests=[
            NamedRequest(video.name, request, _fingerprint(config, prepared, video, request))
            for video, request in zip(plan.videos, requests, strict=True)
        ],
        shown=plan.shown,
        fps=family.facts.fps,
        showing=showing,
        open=lambda: family.renderer(transformer, device),
        randomize=config.rendering.validation_randomize,
        benchmark_folder=folder / "benchmark" if plan.benchmark else None,
    )


def skip_layers_of(rendering: RenderingOptions) -> SkipLayers | None:
    """Return which blocks the pass for the negative prompt leaves out, and when; None for none."""
    layers = rendering.validation_guidance_skip_layers
    start, stop = rendering.validation_guidance_skip_layers_start, rendering.validation_guidance_skip_layers_stop
    return SkipLayers(layers, start, stop) if layers else None


def attention_of(model: ModelOptions, device: torch.device) -> str | None:
    """Return diffusers' name of the attention kernel for videos; None, PyTorch's own, where the kernel cannot run."""
    kernel = ATTENTION[model.attention_mechanism]
    if kernel is None or device.type != "cuda" or lacking(model.attention_mechanism):
        return None
    return kernel.backend


def _request(config: Config, prepared: Prepared, video: Video, common: dict[str, Any]) -> RenderRequest:
    rendering = config.rendering
    return RenderRequest(
        prompt=prepared.text.read(prepared.prompt_keys[video.prompt.prompt]),
        negative=prepared.text.read(prepared.prompt_keys[rendering.validation_negative_prompt]),
        width=video.width,
        height=video.height,
        steps=rendering.validation_num_inference_steps,
        guidance=rendering.validation_guidance,
        seed=video.seed,
        flow_shift=rendering.validation_flow_shift,
        noise_scheduler=rendering.validation_noise_scheduler,
        strength=config.adapter.validation_lycoris_strength,
        **common,
    )


def _fingerprint(config: Config, prepared: Prepared, video: Video, request: RenderRequest) -> str:
    """Name all that the bare base's video depends on; texts by the names of their encodings."""
    texts = (video.prompt.prompt, config.rendering.validation_negative_prompt)
    # An adapter's strength does not count where there is none.
    settings = {
        name: str(value)
        for name, value in vars(request).items()
        if not isinstance(value, Tensor) and name != "strength"
    }
    return digest_of(
        {
            "texts": [prepared.prompt_keys[text] for text in texts],
            "settings": settings,
            "randomize": config.rendering.validation_randomize,
            "model": config.model.model_dump(mode="json"),
        }
    )
