"""A key of a dataset that its other keys leave without effect is said to have none, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from reeltune.config.dataset_inert import inert_keys
from reeltune.config.datasets import Datasets, EvalDataset, ImageDataset, TextEmbeds, VideoDataset
from reeltune.config.inert import inert_settings
from reeltune.config.load import load_config

LOCAL: dict[str, Any] = {"instance_data_dir": "clips"}
HUB: dict[str, Any] = {"type": "huggingface", "dataset_name": "owner/name", "caption_strategy": "huggingface"}
TABLE: dict[str, Any] = {"parquet": {"path": "t.parquet"}}


def inert(kind: type = VideoDataset, **keys: Any) -> set[str]:
    return {note.about.removeprefix("a.") for note in inert_keys(kind(id="a", **keys))}


@pytest.mark.parametrize(
    ("name", "without", "with_effect"),
    [
        ("csv_file", LOCAL, {"type": "csv"}),
        ("dataset_name", LOCAL, {"type": "huggingface", "caption_strategy": "huggingface"}),
        ("aws_bucket_name", LOCAL, {"type": "aws"}),
        ("instance_data_dir", HUB, {"type": "local"}),
        ("csv_caption_column", {"type": "csv"}, {"type": "csv", "caption_strategy": "csv"}),
        ("caption_column", HUB | {"caption_strategy": "filename"}, HUB),
        ("instance_prompt", LOCAL, LOCAL | {"prepend_instance_prompt": True}),
    ],
)
def test_a_text_counts_where_something_reads_it(name: str, without: Any, with_effect: Any) -> None:
    given = {name: "x"}
    assert name in inert(**without | given)
    assert name not in inert(**with_effect | given)


@pytest.mark.parametrize(
    ("given", "name", "with_effect"),
    [
        (TABLE, "parquet", {"caption_strategy": "parquet"}),
        (TABLE, "parquet", {"metadata_backend": "parquet"}),
        ({"crop_aspect": "closest"}, "crop_aspect", {"crop": True}),
        ({"crop_aspect_buckets": [1.0]}, "crop_aspect_buckets", {"crop": True, "crop_aspect": "random"}),
        ({"maximum_image_size": 9.0}, "maximum_image_size", {"crop": True}),
        ({"target_downsample_size": 9.0}, "target_downsample_size", {"crop": True}),
        ({"vae_cache_clear_each_epoch": True}, "vae_cache_clear_each_epoch", {"crop_style": "random"}),
        (
            {"vae_cache_clear_each_epoch": True},
            "vae_cache_clear_each_epoch",
            {"video": {"frame_selection": "random"}},
        ),
    ],
)
def test_a_key_counts_beside_another(given: Any, name: str, with_effect: Any) -> None:
    assert inert(**LOCAL, **given) == {name}
    assert name not in inert(**LOCAL, **given, **with_effect)


@pytest.mark.parametrize(
    ("given", "with_effect"),
    [
        ({"windows": 3}, {"frame_selection": "uniform"}),
        ({"windows": 3}, {"frame_selection": "random"}),
        ({"window_stride": 8}, {"frame_selection": "slide"}),
        ({"frame_interval": 8}, {"bucket_strategy": "resolution_frames"}),
    ],
)
def test_a_key_of_frames_counts_beside_another(given: Any, with_effect: Any) -> None:
    (name,) = given
    for kind in (VideoDataset, EvalDataset):
        assert inert(kind, **LOCAL, video=given) == {f"video.{name}"}
        assert inert(kind, **LOCAL, video=given | with_effect) == set()


def test_a_default_that_is_written_out_is_no_remark() -> None:
    written: dict[str, Any] = {
        "crop_aspect": "square",
        "split": "train",
        "aws_data_prefix": "",
        "csv_caption_column": "caption",
    }
    assert inert(**LOCAL, **written) == set()
    assert inert(ImageDataset, **LOCAL) == set()


def test_sizes_of_a_table_are_not_read() -> None:
    table = TABLE["parquet"] | {"width_column": "w", "height_column": "h"}
    assert inert(**LOCAL, caption_strategy="parquet", parquet=table) == {
        "parquet.width_column",
        "parquet.height_column",
    }


def notes(options: dict[str, Any], *trained: VideoDataset | ImageDataset) -> set[str]:
    config = load_config([], {"data_backend_config": "d", "output_dir": "o", "max_train_steps": 1, **options})
    datasets = Datasets(trained=trained, text=TextEmbeds(id="t"))
    wanted = (*options, *(f"{one.id}.probability" for one in trained))
    return {note.about for note in inert_settings(config, datasets) if note.about in wanted}


def test_weights_are_inert_where_one_dataset_is_trained() -> None:
    one = VideoDataset(id="a", instance_data_dir="a", probability=0.5)
    other = ImageDataset(id="b", instance_data_dir="b")
    sampling = {"data_backend_sampling": "uniform"}
    assert notes(sampling, one) == {"data_backend_sampling", "a.probability"}
    assert notes(sampling, one, other) == set()


def test_sizes_for_crops_are_inert_where_nothing_is_cropped() -> None:
    sizes = {"maximum_image_size": 9, "target_downsample_size": 9}
    whole = VideoDataset(id="a", instance_data_dir="a")
    cropped = VideoDataset(id="b", instance_data_dir="b", crop=True)
    assert notes(sizes, whole) == set(sizes)
    assert notes(sizes, whole, cropped) == set()
    assert notes(sizes, VideoDataset(id="b", instance_data_dir="b", crop=True, maximum_image_size=9.0)) == {
        "maximum_image_size"
    }
