"""Wan's autoencoder the other way: latents as they are cached, back to the pictures that the model learns from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from jaxtyping import Float
from torch import Tensor

from reeltune.contracts.family import DecodeVideo
from reeltune.families.shelf import Shelf
from reeltune.families.wan.encoders import AUTOENCODER, latent_statistics


@contextmanager
def video_decoder(load: Callable[[], AutoencoderKLWan], *, shelf: Shelf, device: torch.device) -> Iterator[DecodeVideo]:
    """Open the autoencoder for decoding, as the stock pipeline ends: de-normalised, decoded, clamped, rounded."""
    with shelf.lend(AUTOENCODER, load, device) as vae:
        mean, std = latent_statistics(vae)

        @torch.no_grad()
        def decode(latents: Float[Tensor, "C T h w"]) -> np.ndarray:
            (video,) = vae.decode(latents[None].to(device) * std + mean, return_dict=False)[0]
            levels = (video / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
            return levels.permute(1, 2, 3, 0).cpu().numpy()

        try:
            yield decode
        finally:
            del vae
