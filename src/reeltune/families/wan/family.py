"""Wan 2.1 text-to-video as a `Family`: where its parts are, how they are opened, how its transformer is asked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor, nn
from transformers import UMT5EncoderModel

from reeltune.adapters.full_files import write_pipeline
from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import DecodeVideo, EncodeText, EncodeVideo, Render
from reeltune.errors import ModelError
from reeltune.families.fingerprint import fingerprint
from reeltune.families.opening import NO_CHANGE, Opening
from reeltune.families.quantizing import Quantizing
from reeltune.families.rounding import random_samples, relative_error
from reeltune.families.shelf import Shelf
from reeltune.families.sources import Source, component_folder, read_config, read_layout
from reeltune.families.wan import autoencoder, decoder, encoders, render
from reeltune.families.wan.alone import name_in_release as name_in_release
from reeltune.families.wan.alone import open_transformer as open_transformer
from reeltune.families.wan.description import FACTS
from reeltune.families.wan.forward import velocity
from reeltune.families.wan.single_file import SingleFile
from reeltune.families.wan.sources import base_vae, single_file, sources_of, vae_file
from reeltune.families.wan.transformer import find_transformer, load_transformer, original_weights
from reeltune.families.wan.vae_file import VaeFile
from reeltune.families.wan.variants import refuse_relatives
from reeltune.families.weight_files import variant_there
from reeltune.families.weights import weights_folder

log = logging.getLogger(__name__)

TIMESTEPS = 1000
"""The transformer is told the noise level as a number from 0 to 1000."""


@dataclass(frozen=True)
class WanParts:
    """Where the components are: folders in the diffusers layout; transformer and autoencoder may be single files.

    variant: of the weights, taken where a folder has it.
    """

    transformer: Path | SingleFile
    vae: Path | VaeFile
    text_encoder: Path
    tokenizer: Path
    scheduler: Path
    variant: str | None = field(default=None, kw_only=True)


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
        return name_in_release(name)

    def write_pipeline(self, folder: Path, transformer: Path) -> None:
        parts = self.parts
        if isinstance(parts.vae, VaeFile):
            raise ModelError(
                f"{parts.vae.path} is a single file, and a whole pipeline needs the autoencoder in a folder: "
                "set pretrained_vae_model_name_or_path to one, or full_output=transformer"
            )
        beside = {
            "vae": parts.vae,
            "text_encoder": parts.text_encoder,
            "tokenizer": parts.tokenizer,
            "scheduler": parts.scheduler,
        }
        write_pipeline(folder, transformer, beside, pipeline_index(parts.scheduler))

    def text_fingerprint(self) -> str:
        encoder, tokenizer = self._fingerprint(self.parts.text_encoder), fingerprint(self.parts.tokenizer)
        precision = self.opening.text_precision
        suffix = "" if precision == NO_CHANGE else f"-{precision}"
        return f"{encoder}-{tokenizer}-{self.opening.dtype}-{self.facts.text_length}{suffix}"

    def base_fingerprint(self) -> str:
        transformer = self.parts.transformer
        return fingerprint(transformer.path) if isinstance(transformer, SingleFile) else self._fingerprint(transformer)

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


def pipeline_index(scheduler: Path) -> dict[str, Any]:
    """Return model_index.json of a pipeline with that scheduler."""
    return {
        "_class_name": "WanPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", read_config(scheduler, "scheduler_config.json")["_class_name"]],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }


def check_weights(options: ModelOptions) -> None:
    """Refuse a relative by its configuration alone, before its 30 GB are fetched; look at what is here whole."""
    sources = sources_of(options)
    if not single_file(options):
        folder = component_folder(sources.transformer, files="config.json")
        refuse_relatives(sources.transformer.place, read_config(folder), read_layout(folder))
    if all(source.path.exists() for source in sources.all()):
        _find_parts(options)


def open_model(options: ModelOptions, opening: Opening) -> Wan:
    """Find, and fetch where needed, every part of the model. Raises ModelError before anything is loaded."""
    if options.base_model.lower().endswith(".safetensors"):
        release = sources_of(options).scheduler.place
        log.info("%s holds the transformer alone; what else is needed comes from %s", options.base_model, release)
    return Wan(_find_parts(options), opening)


def _find_parts(options: ModelOptions) -> WanParts:
    sources, variant = sources_of(options), options.variant
    return WanParts(
        transformer=find_transformer(sources.transformer, single_file(options), variant=variant),
        vae=autoencoder.find_vae(sources.vae, vae_file(options), base=base_vae(options), variant=variant),
        text_encoder=weights_folder(
            sources.text_encoder, encoders.blank_text_encoder, variant=variant, beside=encoders.BESIDE
        ),
        tokenizer=_tokenizer_folder(sources.tokenizer),
        scheduler=component_folder(sources.scheduler),
        variant=variant,
    )


def _tokenizer_folder(source: Source) -> Path:
    folder = component_folder(source)
    # Without either the library makes a tokenizer that knows no word, and does not mention it.
    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model")):
        raise ModelError(f"{folder} holds neither tokenizer.json nor spiece.model. Download the model again.")
    return folder
