"""From options to the rules that a dataset's clips must satisfy: its own words where it has any, the global elsewhere.

No torch.
"""

from __future__ import annotations

from typing import TypeVar

from reeltune.config.datasets import ClipDataset, CropAspect
from reeltune.config.root import Config
from reeltune.contracts.facts import Facts
from reeltune.data.buckets import Sizing
from reeltune.data.crops import Cropping
from reeltune.data.placement import Rules

Everywhere = TypeVar("Everywhere", float, float | None)


def rules_of(dataset: ClipDataset, config: Config, facts: Facts) -> Rules:
    """Return what a dataset's clips must satisfy, and how they are cut, resized and cropped."""
    return Rules(
        video=dataset.video,
        sizing=sizing_of(dataset, config),
        cropping=_cropping_of(dataset, config),
        minimum_image_size=_own(dataset.minimum_image_size, config.data.minimum_image_size),
        minimum_aspect=dataset.minimum_aspect_ratio,
        maximum_aspect=dataset.maximum_aspect_ratio,
        geometry=facts.geometry,
        model_fps=facts.fps,
        pictures=dataset.dataset_type == "eval",
    )


def sizing_of(dataset: ClipDataset, config: Config) -> Sizing:
    """Return how large a dataset's frames are trained."""
    return Sizing(
        resolution=_own(dataset.resolution, config.data.resolution),
        resolution_type=dataset.resolution_type or config.data.resolution_type,
        rounding=config.data.aspect_bucket_rounding,
        alignment=config.data.aspect_bucket_alignment,
    )


def _cropping_of(dataset: ClipDataset, config: Config) -> Cropping:
    shapes = dataset.crop_aspect_buckets
    return Cropping(
        crop=dataset.crop,
        style=dataset.crop_style,
        aspect=dataset.crop_aspect,
        shapes=tuple(shape if isinstance(shape, CropAspect) else CropAspect(aspect=shape) for shape in shapes),
        maximum=_own(dataset.maximum_image_size, config.data.maximum_image_size),
        target=_own(dataset.target_downsample_size, config.data.target_downsample_size),
    )


def _own(own: float | None, everywhere: Everywhere) -> float | Everywhere:
    """Return a dataset's own value where it has one."""
    return everywhere if own is None else own
