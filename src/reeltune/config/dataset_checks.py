"""What is wrong between the keys of one dataset that are each right by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reeltune.config.datasets import MediaDataset, SourceKind, TrainedDataset, VideoOptions

Finding = tuple[tuple[str, ...], str]
"""A key, after those that it lies in, and what is wrong with it."""

PLACES: Mapping[SourceKind, str] = {
    "local": "instance_data_dir",
    "aws": "aws_bucket_name",
    "csv": "csv_file",
    "huggingface": "dataset_name",
}
"""By type of a dataset, the key that says where its files are."""


def findings(dataset: MediaDataset) -> list[Finding]:
    """Return each key of a dataset that another of its keys makes wrong, or makes necessary."""
    return [found for check in _CHECKS for found in check(dataset)]


def frames_of(dataset: MediaDataset) -> VideoOptions | None:
    """Return what a dataset says of frames; None for pictures, which say nothing of them."""
    return getattr(dataset, "video", None) if "video" in type(dataset).model_fields else None


def _has_a_place(dataset: MediaDataset) -> Iterator[Finding]:
    name = PLACES[dataset.type]
    if not getattr(dataset, name):
        yield (name,), f"is needed with type {dataset.type}"


def _has_whole_credentials(dataset: MediaDataset) -> Iterator[Finding]:
    pair = ("aws_access_key_id", "aws_secret_access_key")
    for name, other in (pair, pair[::-1]):
        if getattr(dataset, other) and not getattr(dataset, name):
            yield (name,), f"is needed beside {other}; or set neither, and the environment's are taken"


def _captions_are_there(dataset: MediaDataset) -> Iterator[Finding]:
    strategy = dataset.caption_strategy
    if strategy in ("csv", "huggingface") and strategy != dataset.type:
        hint = "; caption_strategy parquet reads captions from a table" if strategy == "csv" else ""
        yield ("caption_strategy",), f"is {strategy}, which needs type {strategy}, and type is {dataset.type}{hint}"


def _files_are_listed(dataset: MediaDataset) -> Iterator[Finding]:
    backend = dataset.metadata_backend
    if backend == "huggingface" != dataset.type:
        yield ("metadata_backend",), f"is huggingface, which needs type huggingface, and type is {dataset.type}"
    if backend == "parquet" and dataset.type in ("csv", "huggingface"):
        yield ("metadata_backend",), f"is parquet, and with type {dataset.type} the files are listed already; leave out"


def _table_is_named(dataset: MediaDataset) -> Iterator[Finding]:
    readers = [name for name in ("caption_strategy", "metadata_backend") if getattr(dataset, name) == "parquet"]
    if readers and dataset.parquet is None:
        yield ("parquet",), f'is needed with {readers[0]} parquet: "parquet": {{"path": "captions.parquet"}}'


def _prompt_is_there(dataset: MediaDataset) -> Iterator[Finding]:
    users = [name for name in ("only_instance_prompt", "prepend_instance_prompt") if getattr(dataset, name)]
    if dataset.caption_strategy == "instanceprompt":
        users.append("caption_strategy instanceprompt")
    if users and not (dataset.instance_prompt or "").strip():
        yield ("instance_prompt",), f"is needed with {users[0]}"


def _crop_has_shapes(dataset: MediaDataset) -> Iterator[Finding]:
    aspect = dataset.crop_aspect
    if dataset.crop and aspect in ("closest", "random") and not dataset.crop_aspect_buckets:
        yield ("crop_aspect_buckets",), f"is needed with crop_aspect {aspect}: widths over heights, such as [1.0, 1.78]"


def _bounds_leave_room(dataset: MediaDataset) -> Iterator[Finding]:
    least, most = dataset.minimum_aspect_ratio, dataset.maximum_aspect_ratio
    if least and most and least > most:
        yield ("minimum_aspect_ratio",), f"is {least:g}, above maximum_aspect_ratio {most:g}: no clip would be left"
    video = frames_of(dataset)
    if video and video.min_frames and video.max_frames and video.min_frames > video.max_frames:
        text = f"is {video.min_frames}, above max_frames {video.max_frames}: no clip would be left"
        yield ("video", "min_frames"), text


def _masks_have_names(dataset: MediaDataset) -> Iterator[Finding]:
    if isinstance(dataset, TrainedDataset) and dataset.conditioning_data and dataset.type != "local":
        text = f"needs type local, and type is {dataset.type}: masks are found by the clips' names below their folder"
        yield ("conditioning_data",), text


_CHECKS = (
    _has_a_place,
    _has_whole_credentials,
    _captions_are_there,
    _files_are_listed,
    _table_is_named,
    _prompt_is_there,
    _crop_has_shapes,
    _bounds_leave_room,
    _masks_have_names,
)


def nothing_to_learn(trained: tuple[TrainedDataset, ...]) -> bool:
    """Tell whether all that is trained only keeps the model as it is."""
    return bool(trained) and all(dataset.is_regularisation_data for dataset in trained)
