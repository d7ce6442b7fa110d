"""Wan 2.1 text-to-video as a `Family`: where its parts are, how they are opened, how its transformer is asked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor, nn
from transformers import UMT5EncoderModel

from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import DecodeVideo, EncodeText, EncodeVideo, Render
from reeltune.families.fingerprint import fingerprint
from reeltune.families.opening import NO_CHANGE, Opening
from reeltune.families.quantizing import Quantizing
from reeltune.families.rounding import random_samples, relative_error
from reeltune.families.shelf import Shelf
from reeltune.families.wan import autoencoder, decoder, encoders, pipeline, render
from reeltune.families.wan.description import FACTS
from reeltune.families.wan.forward import velocity
from reeltune.families.wan.parts import WanParts, find_parts
from reeltune.families.wan.single_file import release_name
from reeltune.families.wan.sources import sources_of
from reeltune.families.wan.transformer import load_transformer, name_of_content, original_weights
from reeltune.families.wan.vae_file import VaeFile
from reeltune.families.weight_files import variant_there

log = logging.getLogger(__name__)

TIMESTEPS = 1000
"""The transformer is told the noise level as a number from 0 to 1000."""


@dataclass(frozen=True)
class Wan:
    """Wan 2.1 text-to-video."""

    parts: WanParts
    opening: Opening
    facts: Facts = FACTS

    @functools.cached_property
    def shelf(self) -> Shelf:
        return Shelf(keep=self.opening.keep)

    def name_in_release(self, name: str) -> str:
        return release_name(name)

    def write_pipeline(self, folder: Path, transformer: Path) -> None:
        pipeline.write_around(transformer, self.parts, folder)

    def text_fingerprint(self) -> str:
        encoder, tokenizer = self._fingerprint(self.parts.text_encoder), fingerprint(self.parts.tokenizer)
        precision = self.opening.text_precision
        suffix = "" if precision == NO_CHANGE else f"-{precision}"
        return f"{encoder}-{tokenizer}-{self.opening.dtype}-{self.facts.text_length}{suffix}"

    def base_fingerprint(self) -> str:
        return name_of_content(self.parts.transformer, self.parts.variant)

    def video_fingerprint(self) -> str:
        vae = self.parts.vae
        exact = vae.fingerprint() if isinstance(vae, VaeFile) else self._fingerprint(vae)
        dtype = "" if self.opening.vae_dtype == torch.float32 else f"-{self.opening.vae_dtype}"
        return exact + dtype + ("-tiled" if self.opening.vae_tiling else "")

    def text_encoder(self, device: torch.device) -> AbstractContextManager[EncodeText]:
        return encoders.text_encoder(
            lambda: self._load_text_encoder(device),
            self.parts.tokenizer,
            shelf=self.shelf,
            length=self.facts.text_length,
            device=device,
        )

    def video_encoder(self, device: torch.device) -> AbstractContextManager[EncodeVideo]:
        dtype = self.opening.vae_dtype
        return encoders.video_encoder(
            lambda: self._load_vae(device, dtype),
            shelf=self.shelf,
            device=device,
            name=encoders.AUTOENCODER if dtype == torch.float32 else f"{encoders.AUTOENCODER} in {dtype}",
            tiled=self.opening.vae_tiling,
        )

    def video_decoder(self, device: torch.device) -> AbstractContextManager[DecodeVideo]:
        return decoder.video_decoder(lambda: self._load_vae(device), shelf=self.shelf, device=device)

    def load_transformer(self, device: torch.device) -> nn.Module:
        return load_transformer(
            self.parts.transformer,
            variant=self.parts.variant,
            device=device,
            dtype=self.opening.dtype,
            quantizing=Quantizing(self.opening.base_precision, self.opening.quantize_via),
        )

    def rounding_error(self, transformer: nn.Module, device: torch.device) -> float | None:
        assert isinstance(transformer, WanTransformer3DModel)
        width = transformer.config["text_dim"]
        noised, batch = random_samples(self.facts.geometry, text_width=width, device=device)
        original = original_weights(self.parts.transformer, variant=self.parts.variant)
        return relative_error(transformer, lambda: self.predict(transformer, noised, batch), original)

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Float[Tensor, "B C T h w"]:
        assert isinstance(transformer, WanTransformer3DModel)
        text, dtype = encoders.padded(batch.text, self.facts.text_length), self.opening.dtype
        return velocity(
            transformer, noised.x_t.to(dtype), TIMESTEPS * noised.sigma, text.to(dtype), noised.kept
        ).float()

    @contextmanager
    def renderer(self, transformer: nn.Module, device: torch.device) -> Iterator[Render]:
        assert isinstance(transformer, WanTransformer3DModel)
        with self.shelf.lend("autoencoder", lambda: self._load_vae(device), device) as vae:
            opened = render.renderer(
                transformer,
                vae=vae,
                scheduler_folder=self.parts.scheduler,
                text_length=self.facts.text_length,
                device=device,
            )
            try:
                with opened as make_video:
                    yield make_video
            finally:
                del vae, opened

    def _load_vae(self, device: torch.device, dtype: torch.dtype = torch.float32) -> AutoencoderKLWan:
        return autoencoder.load_vae(self.parts.vae, device, variant=self.parts.variant, dtype=dtype)

    def _load_text_encoder(self, device: torch.device) -> UMT5EncoderModel:
        return encoders.load_text_encoder(
            self.parts.text_encoder,
            device,
            dtype=self.opening.dtype,
            variant=self.parts.variant,
            quantizing=Quantizing(self.opening.text_precision, self.opening.quantize_via),
        )

    def _fingerprint(self, folder: Path) -> str:
        variant = variant_there(folder, self.parts.variant)
        return fingerprint(folder) + (f"-{variant}" if variant else "")


def open_model(options: ModelOptions, opening: Opening) -> Wan:
    """Find, and fetch where needed, every part of the model. Raises ModelError before anything is loaded."""
    if options.base_model.lower().endswith(".safetensors"):
        release = sources_of(options).scheduler.place
        log.info("%s holds the transformer alone; what else is needed comes from %s", options.base_model, release)
    return Wan(find_parts(options), opening)
