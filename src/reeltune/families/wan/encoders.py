"""Wan's text encoder and autoencoder, each opened alone, used, and gone again unless they are kept.

Both give exactly what the stock pipeline would compute; the tests hold them to that bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from reeltune.contracts.family import EncodeText, EncodeVideo
from reeltune.errors import ModelError
from reeltune.families.loading import frozen, reported_loading
from reeltune.families.shelf import Shelf
from reeltune.families.weight_files import variant_there

AUTOENCODER = "autoencoder"
"""Under which name the exact one is kept, for encoding and for videos alike."""


@contextmanager
def text_encoder(
    load: Callable[[], UMT5EncoderModel], tokenizer_folder: Path, *, shelf: Shelf, length: int, device: torch.device
) -> Iterator[EncodeText]:
    """Open UMT5 and its tokenizer. length: tokens that a prompt is cut or padded to while encoding."""
    tokenizer = load_tokenizer(tokenizer_folder)
    with shelf.lend("text encoder", load, device) as encoder:

        @torch.no_grad()
        def encode(prompts: Sequence[str]) -> list[Tensor]:
            # Padded to the full length: what the pipeline does, so the numbers of a single prompt are the pipeline's.
            tokens = tokenizer(
                [prompt_clean(prompt) for prompt in prompts],
                padding="max_length",
                max_length=length,
                truncation=True,
                return_tensors="pt",
            )
            mask = tokens.attention_mask
            hidden = encoder(tokens.input_ids.to(device), mask.to(device)).last_hidden_state.cpu()
            return [row[:count] for row, count in zip(hidden, mask.sum(1).tolist(), strict=True)]

        try:
            yield encode
        finally:
            del encoder


@contextmanager
def video_encoder(
    load: Callable[[], AutoencoderKLWan], *, shelf: Shelf, device: torch.device, name: str = AUTOENCODER, tiled: bool
) -> Iterator[EncodeVideo]:
    """Open the autoencoder; temporal chunks as it makes them itself.

    name: under which the shelf keeps it. tiled: in overlapping tiles where frames are large, which is not exact.
    """
    with shelf.lend(name, load, device) as vae:
        mean, std = latent_statistics(vae)
        # Only here: what is lent for videos afterwards decodes them whole.
        vae.use_tiling = tiled

        @torch.no_grad()
        def encode(frames: Float[Tensor, "B 3 F H W"]) -> Float[Tensor, "B C T h w"]:
            posterior = vae.encode(frames.to(device, vae.dtype)).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
            return ((posterior.mode().float() - mean) / std).cpu()

        try:
            yield encode
        finally:
            vae.use_tiling = False
            del vae


def load_text_encoder(
    folder: Path, device: torch.device, *, dtype: torch.dtype, variant: str | None = None
) -> UMT5EncoderModel:
    """Return UMT5, frozen, on the device. variant: taken where the folder has it."""
    with reported_loading("text encoder", folder):
        there = variant_there(folder, variant)
        return frozen(UMT5EncoderModel.from_pretrained(folder, dtype=dtype, variant=there), device)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer; `tokenizer.json` or `spiece.model` is enough. Raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(folder)
    # All of them: for a damaged tokenizer.json the library raises Exception itself.
    except Exception as error:
        raise ModelError(f"{folder} cannot be loaded as the tokenizer: {error}") from error


def blank_text_encoder(config: dict[str, Any]) -> UMT5EncoderModel:
    """Return the encoder that a configuration describes, with whatever values."""
    return UMT5EncoderModel(UMT5Config.from_dict(config))


def padded(text: Float[Tensor, "B L D"], length: int) -> Float[Tensor, "B N D"]:
    """Return text with zero rows up to the full length and no mask: Wan was trained to see its padding."""
    return torch.nn.functional.pad(text, (0, 0, 0, length - text.shape[1]))


def load_vae(
    folder: Path, device: torch.device, *, variant: str | None = None, dtype: torch.dtype = torch.float32
) -> AutoencoderKLWan:
    """Return the autoencoder, frozen, on the device. variant: taken where the folder has it."""
    with reported_loading("autoencoder", folder):
        there = variant_there(folder, variant)
        return frozen(AutoencoderKLWan.from_pretrained(folder, dtype=dtype, variant=there), device)


def latent_statistics(vae: AutoencoderKLWan) -> tuple[Float[Tensor, "1 C 1 1 1"], Float[Tensor, "1 C 1 1 1"]]:
    """Return mean and standard deviation per latent channel, which normalise what the transformer sees."""
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config["latents_mean"], device=vae.device).view(shape)
    std = torch.tensor(vae.config["latents_std"], device=vae.device).view(shape)
    return mean, std
