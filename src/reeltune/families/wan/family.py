"""Wan 2.1 text-to-video as a `Family`: where its parts are, how they are opened, how its transformer is asked."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor, nn

from reeltune.config.model import ModelOptions
from reeltune.contracts.batch import Batch, Noised
from reeltune.contracts.facts import Facts
from reeltune.contracts.family import EncodeText, EncodeVideo, Render
from reeltune.errors import ModelError
from reeltune.families.loading import component_folder, fingerprint, read_config
from reeltune.families.wan import encoders, render
from reeltune.families.wan.transformer import load_transformer
from reeltune.families.wan.variants import WAN_21, refuse_relatives
from reeltune.families.weights import weights_folder

FACTS = WAN_21
TIMESTEPS = 1000
"""The transformer is told the noise level as a number from 0 to 1000."""


@dataclass(frozen=True)
class WanParts:
    """The folders of the components, each in the diffusers layout."""

    transformer: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path
    scheduler: Path


@dataclass(frozen=True)
class Wan:
    """Wan 2.1 text-to-video. dtype: of the frozen base, the text encoder and the activations."""

    parts: WanParts
    dtype: torch.dtype
    facts: Facts = FACTS

    def text_fingerprint(self) -> str:
        encoder, tokenizer = fingerprint(self.parts.text_encoder), fingerprint(self.parts.tokenizer)
        return f"{encoder}-{tokenizer}-{self.dtype}-{self.facts.text_length}"

    def video_fingerprint(self) -> str:
        return fingerprint(self.parts.vae)

    def text_encoder(self, device: torch.device) -> AbstractContextManager[EncodeText]:
        return encoders.text_encoder(
            self.parts.text_encoder,
            self.parts.tokenizer,
            length=self.facts.text_length,
            device=device,
            dtype=self.dtype,
        )

    def video_encoder(self, device: torch.device) -> AbstractContextManager[EncodeVideo]:
        return encoders.video_encoder(self.parts.vae, device=device)

    def load_transformer(self, device: torch.device) -> nn.Module:
        return load_transformer(self.parts.transformer, device=device, dtype=self.dtype)

    def predict(self, transformer: nn.Module, noised: Noised, batch: Batch) -> Float[Tensor, "B C T h w"]:
        text = encoders.padded(batch.text, self.facts.text_length)
        (velocity,) = transformer(
            hidden_states=noised.x_t.to(self.dtype),
            timestep=TIMESTEPS * noised.sigma,
            encoder_hidden_states=text.to(self.dtype),
            return_dict=False,
        )
        return velocity.float()

    def renderer(self, transformer: nn.Module, device: torch.device) -> AbstractContextManager[Render]:
        assert isinstance(transformer, WanTransformer3DModel)
        return render.renderer(
            transformer,
            vae_folder=self.parts.vae,
            scheduler_folder=self.parts.scheduler,
            text_length=self.facts.text_length,
            device=device,
        )


def check(options: ModelOptions) -> None:
    """Refuse a relative by its configuration alone, before its 30 GB are fetched; look at local folders whole."""
    source = _sources(options)[0]
    folder = component_folder(source, "transformer", files="config.json")
    has_index = (folder.parent / "model_index.json").is_file()
    refuse_relatives(source, read_config(folder), read_config(folder.parent, "model_index.json") if has_index else {})
    if all(Path(place).expanduser().is_dir() for place in _sources(options)):
        _find_parts(options)


def open_model(options: ModelOptions, dtype: torch.dtype) -> Wan:
    """Find, and fetch where needed, every part of the model. Raises ModelError before anything is loaded."""
    return Wan(_find_parts(options), dtype)


def _find_parts(options: ModelOptions) -> WanParts:
    transformer, text, vae, base = _sources(options)
    return WanParts(
        transformer=weights_folder(transformer, "transformer", WanTransformer3DModel.from_config),  # pyright: ignore[reportArgumentType]
        vae=weights_folder(vae, "vae", AutoencoderKLWan.from_config),  # pyright: ignore[reportArgumentType]
        text_encoder=weights_folder(text, "text_encoder", encoders.blank_text_encoder),
        tokenizer=_tokenizer_folder(text),
        scheduler=component_folder(base, "scheduler"),
    )


def _tokenizer_folder(source: str) -> Path:
    folder = component_folder(source, "tokenizer")
    # Without either the library makes a tokenizer that knows no word, and does not mention it.
    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model")):
        raise ModelError(f"{folder} holds neither tokenizer.json nor spiece.model. Download the model again.")
    return folder


def _sources(options: ModelOptions) -> tuple[str, str, str, str]:
    """Return where the transformer, the text encoder, the autoencoder and the rest come from."""
    base = options.pretrained_model_name_or_path
    return (
        options.pretrained_transformer_model_name_or_path or base,
        options.pretrained_t5_model_name_or_path or base,
        options.pretrained_vae_model_name_or_path or base,
        base,
    )
