"""Wan's text encoder and autoencoder, each opened alone, used, and gone again unless they are kept.

Both give exactly what the stock pipeline would compute; the tests hold them to that bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from reeltune.contracts.family import EncodeText, EncodeVideo
from reeltune.errors import ModelError
from reeltune.families.filling import read_tensors
from reeltune.families.loading import frozen, reported_loading
from reeltune.families.quantizing import UNCHANGED, Quantizing
from reeltune.families.shelf import Shelf
from reeltune.families.sources import read_config
from reeltune.families.weight_files import variant_there, weight_files
from reeltune.quantize.rules import encoder_names

_KEPT_FROM_FLOAT16 = frozenset(UMT5EncoderModel._keep_in_fp32_modules or ())

AUTOENCODER = "autoencoder"
"""Under which name the exact one is kept, for encoding and for videos alike."""

BESIDE = (r"^decoder\.", r"^lm_head\.")
"""Names of tensors in the files of a text encoder that is offered with the decoder that it was trained with."""


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
    folder: Path,
    device: torch.device,
    *,
    dtype: torch.dtype,
    variant: str | None = None,
    quantizing: Quantizing = UNCHANGED,
) -> UMT5EncoderModel:
    """Return UMT5, frozen, on the device, equal to what transformers loads.

    variant: taken where the folder has it. quantizing: of the linear layers of its blocks. Raises ModelError.
    """
    with reported_loading("text encoder", folder, quantizing.precision):
        with init_empty_weights():
            encoder = blank_text_encoder(read_config(folder))
        # Empty weights are not the same one under both names any more.
        encoder.tie_weights()
        read_tensors(
            encoder,
            weight_files(folder, variant_there(folder, variant)),
            device=device,
            number_type=lambda name: text_number_type(name, dtype),
            quantizing=quantizing,
            quantized=encoder_names(encoder),
        )
        return frozen(encoder, device)


def text_number_type(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the type of a parameter of an encoder in `dtype`: of float16, transformers spares one layer a block."""
    spared = dtype == torch.float16 and _KEPT_FROM_FLOAT16.intersection(name.split("."))
    return torch.float32 if spared else dtype


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


def latent_statistics(vae: AutoencoderKLWan) -> tuple[Float[Tensor, "1 C 1 1 1"], Float[Tensor, "1 C 1 1 1"]]:
    """Return mean and standard deviation per latent channel, which normalise what the transformer sees."""
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config["latents_mean"], device=vae.device).view(shape)
    std = torch.tensor(vae.config["latents_std"], device=vae.device).view(shape)
    return mean, std
