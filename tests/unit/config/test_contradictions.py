"""What is wrong between the options and the dataset file is said before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reeltune.config.contradictions import contradictions_with_data
from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset
from reeltune.config.load import load_config

NEEDED = {"data_backend_config": "d.json", "max_train_steps": 1}


@pytest.mark.parametrize(
    ("output", "clips_cache", "text_cache", "named"),
    [
        ("out/run", "cache/vae", "cache/text", []),
        ("clips/run", "cache/vae", "cache/text", ["output_dir"]),
        ("out/run", "clips", "clips/../clips/text", ["a.cache_dir_vae", "t.cache_dir"]),
        ("clips-of-mine/run", "cache/vae", "cache/text", []),
    ],
)
def test_nothing_is_written_among_clips(output: str, clips_cache: str, text_cache: str, named: list[str]) -> None:
    config = load_config([], NEEDED | {"output_dir": output})
    dataset = VideoDataset(id="a", instance_data_dir=str(Path.cwd() / "clips"), cache_dir_vae=clips_cache)
    datasets = Datasets(trained=(dataset,), text=TextEmbeds(id="t", cache_dir=text_cache))
    problems = contradictions_with_data(config, datasets)
    assert sorted(problem.split(" ")[0] for problem in problems) == sorted(named)


def problems_of(options: dict[str, Any], **clips: Any) -> list[str]:
    config = load_config([], NEEDED | {"output_dir": "clips/run"} | options)
    dataset = VideoDataset(id="a", cache_dir_vae="cache/vae", **clips)
    return contradictions_with_data(config, Datasets(trained=(dataset,), text=TextEmbeds(id="t", cache_dir="cache/t")))


@pytest.mark.parametrize(
    "clips",
    [
        {"type": "csv", "csv_file": "clips/table.csv", "instance_data_dir": "clips"},
        {"type": "aws", "aws_bucket_name": "clips"},
        {"type": "huggingface", "dataset_name": "clips"},
    ],
)
def test_files_that_are_named_are_not_confused_with_what_is_written_beside_them(clips: dict[str, Any]) -> None:
    assert problems_of({}, **clips) == []


LOCAL = {"instance_data_dir": "elsewhere"}
AREA = {"resolution_type": "area", "resolution": 0.25}


@pytest.mark.parametrize(
    ("options", "clips", "problem"),
    [
        (AREA, {"minimum_image_size": 480}, "a.minimum_image_size is 480, and resolution_type area means megapixels"),
        (AREA | {"resolution": 480}, {}, "resolution is 480, and resolution_type area means megapixels: write 0.23,"),
        ({}, {"crop": True, "maximum_image_size": 480}, "a.maximum_image_size is 480, and target_downsample_size is"),
        ({"target_downsample_size": 480}, {"crop": True}, "target_downsample_size is 480, and maximum_image_size is"),
        (
            {"maximum_image_size": 480},
            {"crop": True, "target_downsample_size": 640},
            "a.target_downsample_size is 640, above maximum_image_size 480",
        ),
    ],
)
def test_sizes_at_odds_are_refused_with_their_keys(
    options: dict[str, Any], clips: dict[str, Any], problem: str
) -> None:
    (found,) = problems_of(options, **LOCAL, **clips)
    assert found.startswith(problem)


def test_limits_of_a_crop_may_come_from_both_files() -> None:
    clips = LOCAL | {"crop": True, "target_downsample_size": 480}
    assert problems_of({"maximum_image_size": 640}, **clips) == []
    assert problems_of({}, **LOCAL, maximum_image_size=480) == []
    assert problems_of(AREA, **LOCAL, maximum_image_size=19.9) == []
