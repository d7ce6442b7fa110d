"""Sizes of a dataset that are at odds, its own and those that it takes from the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from reeltune.config.datasets import ClipDataset, Datasets
from reeltune.config.root import Config

MEGAPIXELS = 20
"""An area from here on was meant in pixels: no frame has as many megapixels."""

SIZES = ("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size")
LIMITS = ("maximum_image_size", "target_downsample_size")


def sizes_at_odds(config: Config, datasets: Datasets) -> list[str]:
    """Return a sentence for each; what several datasets take from the configuration is said once."""
    found = (problem for dataset in datasets.clips for problem in _at_odds(config, dataset))
    return list(dict.fromkeys(found))


def _at_odds(config: Config, dataset: ClipDataset) -> Iterator[str]:
    sizes = {name: _size(config, dataset, name) for name in SIZES}
    if (dataset.resolution_type or config.data.resolution_type) == "area":
        for name, size in sizes.items():
            if size >= MEGAPIXELS:
                yield (
                    f"{_label(dataset, name)} is {size:g}, and resolution_type area means megapixels: write "
                    f"{size * size / 1e6:.3g}, or set resolution_type pixel_area"
                )
    if not dataset.crop:
        return
    for name, other in (LIMITS, LIMITS[::-1]):
        if sizes[name] and not sizes[other]:
            yield f"{_label(dataset, name)} is {sizes[name]:g}, and {other} is not set: each needs the other"
    largest, target = (sizes[name] for name in LIMITS)
    if largest and target > largest:
        yield (
            f"{_label(dataset, 'target_downsample_size')} is {target:g}, above maximum_image_size {largest:g}: clips "
            "would be made larger; set it to that or less"
        )


def _size(config: Config, dataset: ClipDataset, name: str) -> float:
    """Return the size that counts for a dataset; 0 where there is none."""
    own = getattr(dataset, name)
    return (getattr(config.data, name) if own is None else own) or 0.0


def _label(dataset: ClipDataset, name: str) -> str:
    return name if getattr(dataset, name) is None else f"{dataset.id}.{name}"
