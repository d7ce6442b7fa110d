"""What is wrong between the options and the dataset file is said before anything is written."""

from __future__ import annotations

from pathlib import Path

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
