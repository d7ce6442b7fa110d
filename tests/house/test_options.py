"""Every option can be explained from its one declaration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import WITHOUT_EFFECT, TextEmbeds, VideoDataset, VideoOptions
from reeltune.config.load import load_config
from reeltune.config.root import all_options, other_names

EXAMPLES = Path(__file__).parents[2] / "examples"

DATASET_KEYS = [
    (kind.__name__, name, field)
    for kind in (VideoDataset, VideoOptions, TextEmbeds)
    for name, field in kind.model_fields.items()
]


@pytest.mark.parametrize(("section", "name", "field"), [*all_options(), *DATASET_KEYS], ids=str)
def test_an_option_says_what_it_does_in_a_sentence(section: str, name: str, field: FieldInfo) -> None:
    description = field.description or ""
    assert len(description) > 20, (section, name)
    assert description.endswith("."), description


@pytest.mark.parametrize(("section", "name", "field"), list(all_options()), ids=str)
def test_steps_frames_and_pixels_have_a_unit(section: str, name: str, field: FieldInfo) -> None:
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    if name.endswith(("_interval", "_steps")) and name not in {
        "max_train_steps",
        "gradient_accumulation_steps",
        "validation_num_inference_steps",
    }:
        assert extra["unit"] == "steps", name


def test_no_name_means_two_options() -> None:
    names = [known for _, name, field in all_options() for known in [name, *other_names(field)]]
    assert len(names) == len(set(names))


def test_the_keys_without_effect_are_keys_and_say_so() -> None:
    described = {name: field.description or "" for _, name, field in DATASET_KEYS}
    for name in WITHOUT_EFFECT:
        assert "no effect" in described[name] or "Accepted for old files" in described[name], name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/config.json")), ids=lambda path: path.parent.name)
def test_each_example_is_read_by_the_real_reader(path: Path) -> None:
    config = load_config(path, {})
    assert json.loads(json.dumps(config.flat())) == config.flat()
    load_datasets(path.parent / "multidatabackend.json")
