"""Every option can be explained from its one declaration, and the shipped files are read by the real reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from reeltune.config.datasets import KINDS, VideoOptions
from reeltune.config.document import read_document
from reeltune.config.load import Loaded, load_run
from reeltune.config.lycoris import inert_lycoris_keys, lycoris_of
from reeltune.config.option import told
from reeltune.config.prompts import load_prompts
from reeltune.config.root import SECTIONS, all_options
from reeltune.config.routing import Route, TreadConfig
from reeltune.config.webhooks import KINDS as WEBHOOKS
from reeltune.config.webhooks import load_webhooks
from reeltune.contracts.notes import Note
from reeltune.manual.describe import Described, all_described
from reeltune.manual.schema import json_schema

ROOT = Path(__file__).parents[2]

KEYS = [
    (kind.__name__, name, field)
    for kind in (*KINDS.values(), VideoOptions, *WEBHOOKS.values(), TreadConfig, Route)
    for name, field in kind.model_fields.items()
]

CONFIGURATIONS = [ROOT / "config/config.json.example", *sorted(ROOT.glob("examples/*/config.json"))]


def id_of(part: object) -> str:
    """Return a part of a test's name that is the same in every process."""
    return part if isinstance(part, str) else ""


@pytest.mark.parametrize(("section", "name", "field"), [*all_options(), *KEYS], ids=id_of)
def test_an_option_says_what_it_does_in_a_sentence(section: str, name: str, field: FieldInfo) -> None:
    description = field.description or ""
    assert len(description) > 20, (section, name)
    assert description.endswith("."), description


@pytest.mark.parametrize(("section", "name", "field"), list(all_options()), ids=id_of)
def test_steps_have_a_unit(section: str, name: str, field: FieldInfo) -> None:
    """Those that count something else than steps of the run, or are the run's length, say so in their sentence."""
    others = {
        "max_train_steps",
        "gradient_checkpointing_interval",
        "gradient_accumulation_steps",
        "validation_num_inference_steps",
    }
    if name.endswith(("_interval", "_steps")) and name not in others:
        assert told(field, "unit") == "steps", name


def test_no_name_means_two_options() -> None:
    names = [
        known for _, name, field in all_options() for known in [name, *told(field, "also"), *told(field, "opposite")]
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("section", "name", "field"), list(all_options()), ids=id_of)
def test_a_default_and_an_example_are_values_that_the_option_takes(section: str, name: str, field: FieldInfo) -> None:
    needed = {one: "x" for one, other in SECTIONS[section].model_fields.items() if other.is_required()}
    for value in (told(field, "example"), None if field.is_required() else field.default):
        if value is not None:
            SECTIONS[section].model_validate(needed | {name: value})


@pytest.mark.parametrize(("section", "name", "field"), list(all_options()), ids=id_of)
def test_a_refused_value_is_none_that_the_option_takes(section: str, name: str, field: FieldInfo) -> None:
    (one,) = [
        described for described in all_described() if described.name == name and described.file == "configuration"
    ]
    assert not set(told(field, "refused")) & set(one.choices)
    for reason in told(field, "refused").values():
        assert not reason.endswith("."), reason


@pytest.mark.parametrize("one", all_described(), ids=lambda one: f"{one.group}-{one.name}")
def test_everything_can_be_shown(one: Described) -> None:
    assert one.value
    assert one.default
    assert one.group


def loaded(path: Path) -> Loaded:
    """Load a shipped configuration; the dataset file that it names is in the repository too."""

    def find(name: str) -> tuple[Path, list[Note]]:
        return ROOT / name, []

    return load_run([path], {}, find_datasets=find)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_a_shipped_configuration_is_read_without_a_remark(path: Path) -> None:
    run = loaded(path)
    assert run.notes == ()
    assert json.loads(json.dumps(run.config.flat())) == run.config.flat()


def test_the_files_beside_the_configuration_are_read_too() -> None:
    assert len(load_prompts(ROOT / "config/user_prompt_library.json.example")) == 6
    assert load_webhooks(ROOT / "config/wan/webhook.json") == ()
    described = str(ROOT / "config/wan/lycoris_config.json")
    assert lycoris_of(described).algo == "lokr"
    assert inert_lycoris_keys(described) == []


def fits(value: Any, node: dict[str, Any]) -> bool:
    """Tell whether a value fits a schema, as far as types, words and bounds go."""
    if "$ref" in node:
        return fits(value, json_schema()["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return any(fits(value, one) for one in node["anyOf"])
    if "enum" in node or "const" in node:
        return any(type(value) is type(one) and value == one for one in node.get("enum", [node.get("const")]))
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict, "boolean": bool}
    wanted = node.get("type")
    if wanted == "null":
        return value is None
    if wanted in kinds and (not isinstance(value, kinds[wanted]) or (isinstance(value, bool) and wanted != "boolean")):
        return False
    if isinstance(value, dict) and "properties" in node:
        known = node["properties"]
        return set(node.get("required", [])) <= set(value) <= set(known) and all(
            fits(value[key], known[key]) for key in value
        )
    if isinstance(value, list):
        return all(fits(item, node["items"]) for item in value)
    return not isinstance(value, float | int) or node.get("minimum", value) <= value <= node.get("maximum", value)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_a_shipped_configuration_fits_the_schema(path: Path) -> None:
    schema, content = json_schema(), read_document(path).content
    assert [name for name, value in content.items() if not fits(value, schema["properties"][name])] == []
    datasets = read_document(ROOT / content["data_backend_config"]).content
    assert fits(datasets, schema["$defs"]["dataset_file"])


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("lora_rank", 0, False),
        ("lora_rank", 4, True),
        ("use_ema", "true", True),
        ("use_ema", "perhaps", False),
        ("checkpoint_step_interval", 5, True),
        ("strict_epoch_limit", False, True),
        ("snr_gamma", 5, True),
        ("mixed_precision", "fp16", False),
        ("validation_guidance_skip_layers", "[9]", True),
        ("tread_config", {"routes": [{"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": -2}]}, True),
        ("tread_config", {"routes": [{"selection_ratio": 0.1}]}, False),
        ("report_to", ["wandb"], True),
        ("report_to", ["comet_ml"], False),
    ],
)
def test_the_schema_says_what_an_option_takes(name: str, value: Any, right: bool) -> None:
    assert fits(value, json_schema()["properties"][name]) is right


def test_the_schema_knows_no_other_names() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert "flow_custom_timesteps" not in schema["properties"]
    entry = [{"id": "a", "instance_data_dir": "x", "cache_dir_vae": "y", "vidoe": {}}]
    assert not fits(entry, schema["$defs"]["dataset_file"])


@pytest.mark.parametrize(
    ("keys", "right"),
    [
        ({"crop_aspect_buckets": [1, {"aspect": 1.78, "weight": 2}]}, True),
        ({"crop_aspect_buckets": [{"weight": 2}]}, False),
        ({"parquet": {"path": "t.parquet", "caption_column": ["a", "b"]}}, True),
        ({"parquet": {"caption_column": "a"}}, False),
        ({"type": "huggingface", "dataset_name": "o/n", "huggingface": {"streaming": True}}, True),
        ({"type": "huggingface", "dataset_name": "o/n", "huggingface": {"filter_func": {}}}, False),
        ({"video": {"frame_selection": "slide", "window_stride": 8}}, True),
        ({"video": {"frame_selection": "last"}}, False),
        ({"dataset_type": "image", "video": {}}, True),
        ({"dataset_type": "eval", "repeats": 3}, True),
        ({"dataset_type": "text_embeds", "caption_filter_list": ["a"]}, True),
        ({"caption_filter_list": ["a"]}, False),
    ],
)
def test_the_schema_says_what_a_dataset_takes(keys: dict[str, Any], right: bool) -> None:
    assert fits([{"id": "a", **keys}], json_schema()["$defs"]["dataset_file"]) is right
