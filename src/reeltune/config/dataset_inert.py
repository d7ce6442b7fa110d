"""Keys of a dataset that were set and change nothing beside its other keys, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reeltune.config.dataset_checks import PLACES, frames_of
from reeltune.config.datasets import ImageDataset, MediaDataset, VideoDataset, shows_random_parts
from reeltune.config.option import Section
from reeltune.contracts.notes import Note

Reasons = Iterator[tuple[str, str]]
"""Keys, those inside another with its name before them, and why each changes nothing."""

OF_TYPES: Mapping[str, tuple[str, ...]] = {
    "instance_data_dir": ("local", "csv"),
    **{name: ("csv",) for name in ("csv_file", "csv_path_column", "csv_caption_column", "csv_cache_dir")},
    **{
        name: ("huggingface",)
        for name in ("dataset_name", "split", "revision", "video_column", "image_column", "caption_column")
    },
    **{
        name: ("aws", "csv")
        for name in ("aws_endpoint_url", "aws_region_name", "aws_access_key_id", "aws_secret_access_key")
    },
    "aws_bucket_name": ("aws",),
    "aws_data_prefix": ("aws",),
}
"""By key, the types of datasets that read it; a table may name addresses of S3."""


def inert_keys(dataset: MediaDataset) -> Iterator[Note]:
    """Yield a note for each key of a dataset that another of its keys leaves without effect."""
    reasons = {name: reason for rule in _RULES for name, reason in rule(dataset) if _is_set(dataset, name)}
    yield from (Note("inert", f"{dataset.id}.{name}", reason) for name, reason in reasons.items())


def _is_set(dataset: MediaDataset, name: str) -> bool:
    """Tell whether a file said something else than what is meant without it."""
    outer, _, inner = name.rpartition(".")
    section: Section | None = getattr(dataset, outer) if outer else dataset
    if section is None or inner not in section.model_fields_set:
        return False
    return getattr(section, inner) != type(section).model_fields[inner].default


def _of_other_types(dataset: MediaDataset) -> Reasons:
    for name, types in OF_TYPES.items():
        if dataset.type not in types:
            yield name, f"type is {dataset.type}, which is told where its files are by {PLACES[dataset.type]}"


def _captions(dataset: MediaDataset) -> Reasons:
    strategy = dataset.caption_strategy
    if strategy != "csv" or dataset.only_instance_prompt:
        yield "csv_caption_column", _captions_come_from(dataset)
    if strategy != "huggingface" or dataset.only_instance_prompt:
        yield "caption_column", _captions_come_from(dataset)
    if strategy != "parquet" and dataset.metadata_backend != "parquet":
        yield "parquet", "neither caption_strategy nor metadata_backend is parquet"
    for side in ("width_column", "height_column"):
        yield f"parquet.{side}", "the size is read from the file itself"


def _captions_come_from(dataset: MediaDataset) -> str:
    return "only_instance_prompt is true" if dataset.only_instance_prompt else f"captions: {dataset.caption_strategy}"


def _prompt(dataset: MediaDataset) -> Reasons:
    if dataset.only_instance_prompt or dataset.caption_strategy == "instanceprompt":
        yield "prepend_instance_prompt", "instance_prompt is the whole caption already"
    elif not dataset.prepend_instance_prompt:
        yield (
            "instance_prompt",
            f"caption_strategy is {dataset.caption_strategy}; prepend_instance_prompt puts it in front",
        )


def _crops(dataset: MediaDataset) -> Reasons:
    if not dataset.crop:
        yield "crop_aspect", "crop is false: clips keep their own shape"
        for name in ("maximum_image_size", "target_downsample_size"):
            yield name, "it is about what crop: true crops from, and crop is false"
    if not dataset.crop or dataset.crop_aspect not in ("closest", "random"):
        aspect = f"crop_aspect is {dataset.crop_aspect}" if dataset.crop else "crop is false"
        yield "crop_aspect_buckets", f"{aspect}: no shape is chosen"


def _windows(dataset: MediaDataset) -> Reasons:
    video = frames_of(dataset)
    if not video:
        return
    if video.frame_selection in ("first", "middle"):
        yield "video.windows", f"frame_selection is {video.frame_selection}: each clip has one window"
    if video.frame_selection != "slide":
        yield "video.window_stride", f"frame_selection is {video.frame_selection}, not slide"
    if video.bucket_strategy != "resolution_frames":
        yield "video.frame_interval", f"bucket_strategy is {video.bucket_strategy}, not resolution_frames"


def _epochs(dataset: MediaDataset) -> Reasons:
    if isinstance(dataset, VideoDataset | ImageDataset) and not shows_random_parts(dataset):
        yield "vae_cache_clear_each_epoch", "nothing is drawn: neither frame_selection nor crop_style is random"


_RULES = (_of_other_types, _captions, _prompt, _crops, _windows, _epochs)
