"""A fill that is killed leaves whole entries, and the next one ends where a clean one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import killed_fills

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that 50 of them take seconds")


def killed(kind: str, folder: Path, kills: int) -> dict[str, Any]:
    place = Path(killed_fills.__file__)
    outcome = subprocess.run(
        [sys.executable, str(place), kind, str(folder), str(kills)],
        env=os.environ | {"PYTHONPATH": str(place.parents[1])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout.splitlines()[-1])


def test_fills_killed_at_50_moments_and_two_at_once_end_as_a_clean_one(tmp_path: Path) -> None:
    outcome = killed("light", tmp_path, 50)
    assert outcome["wrong"] == []
    assert outcome["entries"] == 6
    # Moments are drawn over the length of a fill, so most of them come before its end.
    assert outcome["died"] > 20


@pytest.mark.slow
def test_the_whole_of_prepare_survives_being_killed(tiny_example: Path, tmp_path: Path) -> None:
    clips, model = (str(tiny_example / "output/tiny" / name) for name in ("clips", "model"))
    config = {
        "model_family": "wan",
        "model_type": "lora",
        "pretrained_model_name_or_path": model,
        "data_backend_config": "data.json",
        "output_dir": "output",
        "resolution": 32,
        "resolution_type": "pixel",
        "max_train_steps": 1,
        "optimizer": "torch-adamw",
        "validation_disable": True,
    }
    data = [
        {"id": "clips", "instance_data_dir": clips, "max_num_samples": 2, "video": {"num_frames": 5}},
        {"id": "texts", "dataset_type": "text_embeds"},
    ]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    outcome = killed("tiny", tmp_path, 2)
    assert outcome["wrong"] == []
    assert outcome["entries"] == 2 + 3
    assert outcome["died"] > 0
