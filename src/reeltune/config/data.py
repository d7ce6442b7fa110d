"""Where clips and captions come from, and the defaults that datasets inherit."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option
from reeltune.config.places import Place

_VAE_TYPES = {
    "fp16": "the autoencoder overflows in fp16; fp32 and bf16 are there",
    "default": "it is said outright here: fp32, exact, or bf16, faster",
}


class DataOptions(Section):
    data_backend_config: Place = option(
        ...,
        "JSON file that lists the datasets and the text-embed store.",
        min_length=1,
        example="config/wan/multidatabackend.json",
    )
    resolution: float = option(
        1024, "Size of the training frames, read as resolution_type says, for datasets that set none.", gt=0
    )
    resolution_type: Literal["pixel", "area", "pixel_area"] = option(
        "pixel_area",
        "How resolution is read: pixel = the shorter side in pixels; area = megapixels; "
        "pixel_area = the side in pixels of a square of the same area.",
    )
    minimum_image_size: float = option(
        0, "Clips smaller than this, in the unit of resolution_type, are left out; 0 keeps all.", ge=0
    )
    aspect_bucket_rounding: int = option(2, "Decimals of the aspect ratio that clips are grouped by.", ge=1, le=9)
    aspect_bucket_alignment: int = option(
        32, "Frame sides are rounded to multiples of this.", unit="pixels", ge=16, multiple_of=16
    )
    disable_bucket_pruning: bool = option(
        True, "Train every bucket; false leaves out those with fewer clips than train_batch_size."
    )
    delete_problematic_images: bool = option(
        False, "Keep a list of clips that cannot be read, quarantine.jsonl in the run folder; no file is ever deleted."
    )
    caption_dropout_probability: float = option(
        0.1, "Chance that a sample is trained with an empty caption, so that guidance works afterwards.", ge=0, le=1
    )
    data_backend_sampling: Literal["auto-weighting", "uniform"] = option(
        "auto-weighting",
        "What probability of datasets multiplies: auto-weighting = their size, uniform = nothing, so that equal "
        "probabilities draw small and large datasets equally often.",
    )
    maximum_image_size: float | None = option(
        None,
        "With crop true: clips larger than this are first resized; for datasets that set none.",
        ge=0,
    )
    target_downsample_size: float | None = option(
        None,
        "What such clips are resized to before the crop; for datasets that set none.",
        ge=0,
    )
    cache_dir: Place = option(
        "cache", "Folder for encoded clips and captions of datasets that name none of their own.", min_length=1
    )
    vae_batch_size: int = option(
        1,
        "Clips of one shape encoded at once; halved by itself when memory runs out. At 1 no entry depends on its "
        "neighbours, bit for bit.",
        ge=1,
    )
    text_encoder_batch_size: int = option(
        1, "Captions encoded at once. At 1 no entry depends on its neighbours, bit for bit.", ge=1
    )
    vae_cache_ondemand: bool = option(
        False,
        "Encode each clip when it is first trained instead of all before the first step; the autoencoder stays in "
        "memory.",
        opposite=("vae_cache_preprocess",),
    )
    vae_dtype: Literal["fp32", "bf16"] = option(
        "fp32", "Number type that clips are encoded in: fp32 is exact, bf16 faster.", refused=_VAE_TYPES
    )
    vae_enable_tiling: bool = option(
        False, "Encode large frames in overlapping tiles: less memory, slightly other values. false is exact."
    )
    compress_disk_cache: bool = option(
        False, "Compress encoded clips and captions on disk with zstd: a little smaller, a little slower to read."
    )
