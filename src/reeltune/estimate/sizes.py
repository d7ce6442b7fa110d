"""The dimensions of the released models, for costs that are worked out before any file is read."""

from __future__ import annotations

from collections.abc import Mapping

from reeltune.contracts.dimensions import Dimensions

SIZES: Mapping[str, Dimensions] = {
    "1.3B": Dimensions(layers=30, heads=12, head_width=128, ffn=8960),
    "14B": Dimensions(layers=40, heads=40, head_width=128, ffn=13824),
}
"""Wan 2.1 text-to-video, by the name of its size. Source: the releases' own configuration files."""

TEXT_ENCODER_PARAMETERS = 5_680_910_336
"""UMT5-XXL's encoder, with its table of 256,384 tokens."""

VIDEO_AUTOENCODER_PARAMETERS = 126_892_531
"""Encoder and decoder of Wan 2.1."""
