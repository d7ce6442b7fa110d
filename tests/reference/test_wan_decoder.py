"""Latents come back as the stock autoencoder gives them back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline
from diffusers.video_processor import VideoProcessor

from reeltune.contracts.family import DecodeVideo
from reeltune.families.wan.family import Wan

CPU = torch.device("cpu")


@pytest.mark.parametrize("frames", [1, 9])
def test_decoding_equals_the_stock_autoencoder(tiny_model: Path, wan: Wan, frames: int) -> None:
    latents = torch.randn(16, 1 + (frames - 1) // 4, 8, 12, generator=torch.Generator().manual_seed(3))
    with wan.video_decoder(CPU) as decode:
        assert isinstance(decode, DecodeVideo)
        video = decode(latents)
    stock = AutoencoderKLWan.from_pretrained(tiny_model / "vae").eval()
    shape = (1, -1, 1, 1, 1)
    mean, std = (torch.tensor(stock.config[f"latents_{name}"]).view(shape) for name in ("mean", "std"))
    with torch.no_grad():
        decoded = stock.decode(latents[None] * std + mean, return_dict=False)[0]
    expected = np.asarray(VideoProcessor(vae_scale_factor=8).postprocess_video(decoded, output_type="np")[0])
    assert video.shape == (frames, 64, 96, 3)
    assert np.array_equal(video, (expected * 255).round().astype(np.uint8))


def test_the_pipeline_ends_with_the_same_pictures(tiny_model: Path, wan: Wan) -> None:
    latents = torch.randn(16, 3, 8, 12, generator=torch.Generator().manual_seed(4))
    pipeline = WanPipeline.from_pretrained(tiny_model)
    pipeline.set_progress_bar_config(disable=True)
    end, shown = (
        pipeline(
            prompt_embeds=torch.zeros(1, 512, 32),
            latents=latents[None],
            width=96,
            height=64,
            num_frames=9,
            num_inference_steps=1,
            guidance_scale=1.0,
            output_type=kind,
            return_dict=False,
        )[0][0]
        for kind in ("latent", "np")
    )
    with wan.video_decoder(CPU) as decode:
        video = decode(end)
    # The pipeline divides by the inverse of the standard deviation: a value on the edge may round the other way.
    assert np.abs(video.astype(int) - (np.asarray(shown) * 255).round().astype(int)).max() <= 1
