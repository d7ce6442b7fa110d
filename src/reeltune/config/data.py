"""Where clips and captions come from, and the defaults that datasets inherit."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option
from reeltune.config.places import Place


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
    vae_batch_size: int = option(
        1, "Accepted for old files: clips are encoded one by one, so that no entry depends on its neighbours.", ge=1
    )
    compress_disk_cache: bool = option(
        False, "Compress encoded clips and captions on disk: a little smaller, a little slower to read."
    )
