"""Options of noise and loss: what cannot go together is listed, and what changes nothing is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import Datasets, ImageDataset, TextEmbeds, VideoDataset
from reeltune.config.inert import inert_settings
from reeltune.config.load import load_config
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

NEEDED = {"data_backend_config": "d.json", "max_train_steps": 1, "output_dir": "out"}


def inert(**options: Any) -> dict[str, str]:
    config = load_config([], NEEDED | options)
    clips = VideoDataset(id="a", instance_data_dir="a", cache_dir_vae="v")
    datasets = Datasets(trained=(clips,), text=TextEmbeds(id="t", cache_dir="c"))
    return {note.about: note.text for note in inert_settings(config, datasets) if note.about in options}


def test_two_densities_at_once_are_listed_with_the_rest() -> None:
    both = {"flow_use_uniform_schedule": True, "flow_use_beta_schedule": True, "max_train_steps": 0}
    with pytest.raises(ConfigError) as caught:
        load_config([], NEEDED | both)
    assert "flow_use_uniform_schedule and flow_use_beta_schedule are both true" in str(caught.value)
    assert "max_train_steps and num_train_epochs are both 0" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flow_sigmoid_scale", 0),
        ("flow_beta_schedule_alpha", -1),
        ("flow_beta_schedule_beta", 0),
        ("flow_schedule_shift", -1),
        ("huber_c", 0),
        ("huber_c", 1.5),
        ("huber_schedule", "cosine"),
        ("loss_type", "l1"),
        ("loss_weighting", "mode"),
        ("masked_loss_probability", 1.1),
        ("flow_sigmoid_mean", "nan"),
    ],
)
def test_what_is_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        load_config([], NEEDED | {name: value})


@pytest.mark.parametrize(
    ("options", "with_effect"),
    [
        ({"flow_beta_schedule_alpha": 3}, {"flow_use_beta_schedule": True}),
        ({"flow_beta_schedule_beta": 3}, {"flow_use_beta_schedule": True}),
        ({"flow_sigmoid_scale": 2, "flow_use_uniform_schedule": True}, {"flow_use_uniform_schedule": False}),
        ({"flow_sigmoid_mean": 1, "flow_use_beta_schedule": True}, {"flow_use_beta_schedule": False}),
        ({"huber_c": 0.2}, {"loss_type": "huber"}),
        ({"huber_schedule": "constant"}, {"loss_type": "smooth_l1"}),
        ({"flow_schedule_shift": 3, "flow_schedule_auto_shift": True}, {"flow_schedule_auto_shift": False}),
    ],
)
def test_an_option_without_its_switch_changes_nothing(options: dict[str, Any], with_effect: dict[str, Any]) -> None:
    name = next(iter(options))
    assert inert(**options).keys() == {name}
    assert inert(**options | with_effect) == {}


def test_a_share_of_masked_samples_is_nothing_without_masks() -> None:
    assert inert(masked_loss_probability=0.5) == {
        "masked_loss_probability": "no dataset names masks with conditioning_data"
    }


@pytest.mark.parametrize("kind", [VideoDataset, ImageDataset])
def test_trained_datasets_have_an_offset(kind: type[VideoDataset] | type[ImageDataset]) -> None:
    entry: dict[str, Any] = {"id": "a", "instance_data_dir": "a", "cache_dir_vae": "v"}
    assert kind(**entry).timestep_sampling_offset == 0
    assert kind(**entry, timestep_sampling_offset=-0.5).timestep_sampling_offset == -0.5


def test_an_offset_of_what_is_measured_changes_nothing(tmp_path: Path) -> None:
    clips = {"instance_data_dir": "clips", "timestep_sampling_offset": 0.5}
    entries = [
        {"id": "a", **clips},
        {"id": "h", "dataset_type": "eval", **clips},
        {"id": "t", "dataset_type": "text_embeds"},
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(entries))
    notes: list[Note] = []
    datasets = load_datasets(path, notes)
    assert datasets.trained[0].timestep_sampling_offset == 0.5
    assert [note.about for note in notes if note.kind == "inert"] == ["h.timestep_sampling_offset"]


def test_an_offset_without_bounds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"id": "a", "instance_data_dir": "clips", "timestep_sampling_offset": 1000}]))
    with pytest.raises(ConfigError, match="timestep_sampling_offset"):
        load_datasets(path, [])
