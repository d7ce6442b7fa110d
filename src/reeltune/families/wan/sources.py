"""Where the parts of a Wan model come from, as the options say. No torch, no network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from reeltune.config.model import ModelOptions
from reeltune.families.sources import Source, local_folder, read_config
from reeltune.families.wan.single_file import SingleFile, look_into
from reeltune.families.wan.vae_file import VaeFile, look_into_vae

_FOLDER = "transformer"


@dataclass(frozen=True)
class WanSources:
    transformer: Source
    vae: Source
    text_encoder: Source
    tokenizer: Source
    scheduler: Source

    def all(self) -> list[Source]:
        return [getattr(self, field.name) for field in fields(self)]


def sources_of(options: ModelOptions) -> WanSources:
    """Return where each part comes from: its own place where one is named, the base model elsewhere.

    Raises ModelError when the base model is a single file that holds no transformer.
    """
    base, revision = _base(options)
    own_text = options.pretrained_t5_model_name_or_path
    text, text_revision = (own_text, options.revision) if own_text else (base, revision)
    return WanSources(
        transformer=_transformer(options),
        vae=_vae(options) or base_vae(options),
        text_encoder=Source("text encoder", text, ("text_encoder",), revision=text_revision),
        tokenizer=Source("tokenizer", text, ("tokenizer",), "tokenizer_config.json", False, text_revision),
        scheduler=Source("scheduler", base, ("scheduler",), "scheduler_config.json", False, revision),
    )


def single_file(options: ModelOptions) -> SingleFile | None:
    """Return the transformer's file, when it comes in a single one. Raises ModelError when something else is in it."""
    source = _transformer(options)
    if not source.is_file:
        return None
    folder = local_folder(Source("transformer", options.base_model, (_FOLDER,), revision=options.revision))
    return look_into(source.path, read_config(folder) if folder else None)


def vae_file(options: ModelOptions) -> VaeFile | None:
    """Return the autoencoder's file, when it comes in a single one. Raises ModelError when something else is in it."""
    source = _vae(options)
    return look_into_vae(source.path) if source and source.is_file else None


def base_vae(options: ModelOptions) -> Source:
    """Return where the base model has its autoencoder, whether or not that is the one that is used."""
    base, revision = _base(options)
    return Source("autoencoder", base, ("vae",), revision=revision)


def _base(options: ModelOptions) -> tuple[str, str | None]:
    """Return the place of all that a transformer in a single file comes without, and the revision of it."""
    base = options.base_model
    if Path(base).suffix.lower() != ".safetensors":
        return base, options.revision
    return look_into(Path(base).expanduser()).release, None


def _transformer(options: ModelOptions) -> Source:
    own = options.pretrained_transformer_model_name_or_path
    if not own:
        return Source("transformer", options.base_model, (_FOLDER,), revision=options.revision)
    folder = options.pretrained_transformer_subfolder
    folders = {"none": ("",), _FOLDER: (_FOLDER, "")}.get(folder.lower(), (folder,))
    return Source("transformer", own, folders, revision=options.revision)


def _vae(options: ModelOptions) -> Source | None:
    own = options.pretrained_vae_model_name_or_path
    # A place of its own may hold nothing but the autoencoder.
    return Source("autoencoder", own, ("vae", ""), revision=options.revision) if own else None
