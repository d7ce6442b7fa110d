"""Options from files and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.load import load_config, load_run
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

NEEDED = {
    "pretrained_model_name_or_path": "model",
    "data_backend_config": "data.json",
    "output_dir": "output/x",
    "max_train_steps": 10,
}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"lora_rank": 8, "seed": 7})
    config = load_config([path], {"seed": 9})
    assert (config.training.seed, config.adapter.lora_rank, config.training.train_batch_size) == (9, 8, 4)


def test_names_with_dashes_comments_and_trailing_commas_are_read(tmp_path) -> None:
    lines = [f'"--{name}": {json.dumps(value)},' for name, value in NEEDED.items()]
    path = write(tmp_path / "c.json", "\n".join(["{ // a comment", *lines, "}"]))
    assert load_config([path], {}).reporting.output_dir == "output/x"


def test_older_and_newer_names_mean_the_same(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"checkpoint_step_interval": 30, "validation_step_interval": 40})
    config = load_config([path], {})
    assert (config.reporting.checkpointing_steps, config.rendering.validation_steps) == (30, 40)


def test_booleans_may_be_words_and_false_is_false_where_the_default_is_true(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"use_ema": "true", "gradient_checkpointing": False})
    config = load_config([path], {})
    assert config.average.use_ema is True
    assert config.training.gradient_checkpointing is False


@pytest.mark.parametrize("value", ["", None, False])
def test_a_fresh_start_can_be_asked_for(tmp_path, value: Any) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"resume_from_checkpoint": value})
    assert not load_config([path], {}).reporting.resume_from_checkpoint


def test_all_problems_are_listed_at_once_with_their_place(tmp_path) -> None:
    text = '{\n  "optimzer": "optimi-lion",\n  "max_grad_norm": "fast",\n  "lora_rank": 0\n}'
    path = write(tmp_path / "c.json", text)
    with pytest.raises(ConfigError) as failure:
        load_config([path], {"sead": 3})
    message = str(failure.value)
    assert message.startswith(f"{path}: 6 problems")
    assert f"optimzer ({path}, line 2): unknown option; nearest is optimizer" in message
    assert f"max_grad_norm ({path}, line 3): is 'fast'; a number is needed" in message
    assert f"lora_rank ({path}, line 4): is 0; " in message
    assert "sead (command line): unknown option; nearest is seed" in message
    assert "output_dir (not set): this option is needed" in message
    assert failure.value.exit_status == 2


def test_options_that_contradict_each_other_are_refused(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"max_train_steps": 0, "use_ema": True})
    with pytest.raises(ConfigError, match="max_train_steps and num_train_epochs are both 0"):
        load_config([path], {})


def test_the_configuration_is_frozen(tmp_path) -> None:
    config = load_config([write(tmp_path / "c.json", NEEDED)], {})
    with pytest.raises(ValueError, match="frozen"):
        config.training.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


def problems_of(path: Path, overrides: dict[str, Any]) -> str:
    """Return the message that refuses these options."""
    with pytest.raises(ConfigError) as failure:
        load_config([path], overrides)
    return str(failure.value)


def test_a_problem_is_shown_at_its_own_key_not_at_one_that_ends_alike(tmp_path) -> None:
    text = '{\n"validation_seed": 1,\n// "seed": 5,\n"validation_prompt": "seed: 7",\n\'seed\': -1}'
    assert f"seed ({tmp_path / 'c.json'}, line 5): is -1; " in problems_of(write(tmp_path / "c.json", text), {})


def test_a_key_that_comes_twice_in_a_file_is_a_problem(tmp_path) -> None:
    path = write(tmp_path / "c.json", '{\n"seed": 1,\n"--lora_rank": 2,\n"seed": 3,\n"--lora_rank": 2}')
    message = problems_of(path, {})
    assert f"seed ({path}, line 4): is also in line 2; keep one" in message
    assert f"lora_rank ({path}, line 5): is also in line 3; keep one" in message


@pytest.mark.parametrize(("first", "second"), [("seed", "--seed"), ("checkpointing_steps", "checkpoint_step_interval")])
def test_two_names_of_one_option_in_a_file_are_a_problem(tmp_path, first: str, second: str) -> None:
    path = write(tmp_path / "c.json", f'{{"{first}": 1,\n"{second}": 2}}')
    message = problems_of(path, {})
    assert f"{second.removeprefix('--')} ({path}, line 2): is the same option as {first} ({path}, line 1)" in message


def test_two_names_of_one_option_are_a_problem_on_the_command_line_but_not_between_it_and_a_file(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"validation_steps": 3})
    assert load_config([path], {"validation_step_interval": "4"}).rendering.validation_steps == 4
    message = problems_of(path, {"validation_steps": "4", "validation_step_interval": "5"})
    assert "validation_step_interval (command line): is the same option as validation_steps (command line)" in message


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("output_dir", "0x10", "0x10"),
        ("validation_prompt", "1e3", "1e3"),
        ("validation_prompt", "null", None),
        ("validation_prompt", "false", "false"),
        ("validation_negative_prompt", "null", "null"),
        ("resume_from_checkpoint", "false", False),
        ("resume_from_checkpoint", "null", None),
        ("resume_from_checkpoint", "", ""),
        ("mixed_precision", "no", "no"),
        ("learning_rate", "1e-3", 1e-3),
        ("seed", "0x10", 16),
        ("use_ema", "yes", True),
        ("use_ema", True, True),
        ("lora_alpha", "null", None),
    ],
)
def test_what_is_typed_is_read_as_the_option_is_declared(tmp_path, name: str, typed: str | bool, value: Any) -> None:
    config = load_config([write(tmp_path / "c.json", NEEDED)], {name: typed})
    assert config.flat()[name] == value
    assert type(config.flat()[name]) is type(value)


@pytest.mark.parametrize("value", [5, 1e3, True])
def test_a_number_for_a_text_in_a_file_is_refused_because_its_spelling_is_lost(tmp_path, value: Any) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"validation_prompt": value})
    assert f"line 1): is {json.dumps(value)}; a text is needed" in problems_of(path, {})


def test_a_flag_for_a_text_option_is_refused_once(tmp_path) -> None:
    message = problems_of(write(tmp_path / "c.json", NEEDED), {"resume_from_checkpoint": True})
    assert message.count("resume_from_checkpoint") == 1
    assert "is true; a text is needed" in message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("validation_resolution", "832x", "width x height"),
        ("validation_resolution", "0.5", "megapixels"),
        ("validation_resolution", "15x480", "at least 16"),
        ("validation_resolution", "832x0", "at least 16"),
        ("validation_resolution", "83²x480", "width x height"),
        ("seed", 2**63, "less than 9223372036854775808"),
        ("validation_seed", 2**63, "less than 9223372036854775808"),
        ("output_dir", "", "names the adapter file"),
        ("output_dir", ".", "names the adapter file"),
        ("output_dir", "output/..", "names the adapter file"),
        ("data_backend_config", "", "at least 1 character"),
    ],
)
def test_a_value_out_of_bounds_is_refused_at_its_line(tmp_path, name: str, value: Any, reason: str) -> None:
    path = write(tmp_path / "c.json", json.dumps(NEEDED | {name: value}, indent=1))
    message = problems_of(path, {})
    line = path.read_text().split(f'"{name}"')[0].count("\n") + 1
    assert message.startswith(f"{path}: 1 problem\n  {name} ({path}, line {line}): is {value!r}; ")
    assert reason in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation_resolution", "16X16"),
        ("validation_resolution", "832 x 480"),
        ("seed", 2**63 - 1),
        ("output_dir", "../elsewhere/..run"),
        ("output_dir", "/x"),
    ],
)
def test_an_unusual_value_is_accepted(tmp_path, name: str, value: Any) -> None:
    assert load_config([write(tmp_path / "c.json", NEEDED | {name: value})], {}).flat()[name] == value


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "an object of options"), ("{\n,", "is not JSON: line 2, column 2: unexpected"), (None, "does not exist")],
)
def test_an_unreadable_file_says_why(tmp_path, content: str | None, message: str) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        write(path, content)
    with pytest.raises(ConfigError, match=message):
        load_config([path], {})


DATASETS = [
    {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"},
    {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"},
]


def as_named(name: str) -> tuple[Path, list[Note]]:
    """Take data_backend_config at its word."""
    return Path(name), []


def test_the_configuration_and_its_datasets_are_loaded_together(tmp_path) -> None:
    datasets = write(tmp_path / "data.json", DATASETS)
    path = write(tmp_path / "c.json", NEEDED)
    elsewhere = Note("trap", "data_backend_config", "is somewhere else")
    loaded = load_run([path], {"data_backend_config": "here"}, find_datasets=lambda name: (datasets, [elsewhere]))
    assert loaded.config.data.data_backend_config == "here"
    assert [video.id for video in loaded.datasets.trained] == ["a"]
    assert elsewhere in loaded.notes


def test_the_problems_of_both_files_are_listed_together(tmp_path) -> None:
    data = write(tmp_path / "data.json", [DATASETS[0] | {"repeats": -1}, DATASETS[1]])
    path = write(tmp_path / "c.json", NEEDED | {"lora_rank": 0, "data_backend_config": str(data)})
    with pytest.raises(ConfigError) as failure:
        load_run([path], {}, find_datasets=as_named)
    message = str(failure.value)
    assert f"{path}: 1 problem\n  lora_rank ({path}, line 1): is 0" in message
    assert f"\n{data}: 1 problem\n  a.repeats ({data}, line 1): is -1" in message
    assert failure.value.exit_status == 2


def test_a_missing_dataset_file_is_listed_with_the_problems_of_the_configuration(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"lora_rank": 0})
    with pytest.raises(ConfigError, match=r"(?s)lora_rank .*\ndata_backend_config .*nowhere\.json does not exist"):
        load_run([path], {"data_backend_config": "nowhere.json"}, find_datasets=as_named)


@pytest.mark.parametrize("value", [None, 5, "", "~nobody-of-this-name", "x" * 300])
def test_without_a_dataset_file_only_the_configuration_is_judged(tmp_path, value: Any) -> None:
    options = {name: one for name, one in NEEDED.items() if name != "data_backend_config"}
    path = write(tmp_path / "c.json", options if value is None else options | {"data_backend_config": value})
    with pytest.raises(ConfigError, match=r"c\.json: 1 problem\n  data_backend_config .*\Z"):
        load_run([path], {}, find_datasets=as_named)


def test_a_prompt_library_is_read_with_the_rest_and_its_problems_are_listed(tmp_path) -> None:
    data = write(tmp_path / "data.json", DATASETS)
    library = write(tmp_path / "prompts.json", {"cat": ""})
    path = write(tmp_path / "c.json", NEEDED | {"lora_rank": 0, "user_prompt_library": str(library)})
    with pytest.raises(ConfigError, match=r"(?s)lora_rank .*\n.*prompts\.json: 1 problem\n  cat "):
        load_run([path], {"data_backend_config": str(data)}, find_datasets=as_named)


@pytest.mark.parametrize("name", ["learning_rate", "max_train_steps", "seed", "resolution", "lora_alpha"])
def test_a_switch_is_no_number(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "c.json", NEEDED | {name: True})
    with pytest.raises(ConfigError, match=f"{name} .*line .*: is true; a number is needed"):
        load_config([path], {})
    with pytest.raises(ConfigError, match=f"{name} .command line.: is true; a number is needed"):
        load_config([write(tmp_path / "c.json", NEEDED)], {name: True})


def test_an_address_is_no_file_of_webhooks_and_is_not_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"webhook_config": "https://host/SECRET"})
    with pytest.raises(ConfigError, match="an address alone does not say") as refused:
        load_config([path], {})
    assert "SECRET" not in str(refused.value)


def test_a_choice_that_is_misspelt_has_a_nearest_one(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"optimizer": "optimi-lyon", "lr_scheduler": "cosin"})
    with pytest.raises(ConfigError) as refused:
        load_config([path], {})
    assert "nearest is optimi-lion" in str(refused.value)
    assert "nearest is cosine" in str(refused.value)


def test_a_broken_file_of_webhooks_is_listed_with_the_rest(tmp_path: Path) -> None:
    hooks = write(tmp_path / "hooks.json", {"webhook_type": "raww"})
    path = write(tmp_path / "c.json", NEEDED | {"webhook_config": str(hooks), "learning_rat": 3})
    with pytest.raises(ConfigError) as refused:
        load_run([path], {}, find_datasets=lambda name: (tmp_path / "nowhere.json", []))
    for words in ("learning_rat ", "nowhere.json does not exist", "'raww'"):
        assert words in str(refused.value)
