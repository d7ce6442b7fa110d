"""Where clips and captions come from, and the defaults that datasets inherit."""

from __future__ import annotations

from typing import Literal

from reeltune.config.option import Section, option


class DataOptions(Section):
    data_backend_config: str = option(
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
    caption_dropout_probability: float = option(
        0.1, "Chance that a sample is trained with an empty caption, so that guidance works afterwards.", ge=0, le=1
    )
