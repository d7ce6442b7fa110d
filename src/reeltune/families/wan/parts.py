"""Where the parts of a Wan model are: found, fetched where needed, and looked at whole, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reeltune.config.model import ModelOptions
from reeltune.errors import ModelError
from reeltune.families.sources import Source, component_folder, read_config, read_layout
from reeltune.families.wan import autoencoder, encoders
from reeltune.families.wan.single_file import SingleFile
from reeltune.families.wan.sources import base_vae, single_file, sources_of, vae_file
from reeltune.families.wan.transformer import find_transformer
from reeltune.families.wan.vae_file import VaeFile
from reeltune.families.wan.variants import refuse_relatives
from reeltune.families.weights import weights_folder


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


def check_weights(options: ModelOptions) -> None:
    """Refuse a relative by its configuration alone, before its 30 GB are fetched; look at what is here whole."""
    sources = sources_of(options)
    if not single_file(options):
        folder = component_folder(sources.transformer, files="config.json")
        refuse_relatives(sources.transformer.place, read_config(folder), read_layout(folder))
    if all(source.path.exists() for source in sources.all()):
        find_parts(options)


def find_parts(options: ModelOptions) -> WanParts:
    """Return where each part is. Raises ModelError for what is missing, damaged or of another kind."""
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
