"""A whole pipeline in the diffusers layout, around another transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers

from reeltune.adapters.full_files import write_pipeline
from reeltune.errors import ModelError
from reeltune.families.sources import read_config
from reeltune.families.wan.parts import WanParts
from reeltune.families.wan.vae_file import VaeFile


def write_around(transformer: Path, parts: WanParts, folder: Path) -> None:
    """Put a pipeline together from a transformer's folder and a model's other parts.

    Raises ModelError when the autoencoder is in no folder of its own.
    """
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
