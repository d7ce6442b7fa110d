"""Options from files and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.dataset_file import load_datasets
from reeltune.config.load import load_config, load_run
from reeltune.config.words import parse_overrides, read_value
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
    config = load_config(path, {"seed": 9})
    assert (config.training.seed, config.adapter.lora_rank, config.training.train_batch_size) == (9, 8, 4)


def test_names_with_dashes_comments_and_trailing_commas_are_read(tmp_path) -> None:
    lines = [f'"--{name}": {json.dumps(value)},' for name, value in NEEDED.items()]
    path = write(tmp_path / "c.json", "\n".join(["{ // a comment", *lines, "}"]))
    assert load_config(path, {}).reporting.output_dir == "output/x"


def test_older_and_newer_names_mean_the_same(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"checkpoint_step_interval": 30, "validation_step_interval": 40})
    config = load_config(path, {})
    assert (config.reporting.checkpointing_steps, config.rendering.validation_steps) == (30, 40)


def test_booleans_may_be_words_and_false_is_false_where_the_default_is_true(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"use_ema": "true", "gradient_checkpointing": False})
    config = load_config(path, {})
    assert config.training.use_ema is True
    assert config.training.gradient_checkpointing is False


@pytest.mark.parametrize("value", ["", None, False])
def test_a_fresh_start_can_be_asked_for(tmp_path, value: Any) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"resume_from_checkpoint": value})
    assert not load_config(path, {}).reporting.resume_from_checkpoint


def test_all_problems_are_listed_at_once_with_their_place(tmp_path) -> None:
    text = '{\n  "optimzer": "optimi-lion",\n  "max_grad_norm": "fast",\n  "lora_rank": 0\n}'
    path = write(tmp_path / "c.json", text)
    with pytest.raises(ConfigError) as failure:
        load_config(path, {"sead": 3})
    message = str(failure.value)
    assert message.startswith(f"{path}: 7 problems")
    assert f"optimzer ({path}, line 2): unknown option; nearest is optimizer" in message
    assert f"max_grad_norm ({path}, line 3): is 'fast'; " in message
    assert f"lora_rank ({path}, line 4): is 0; " in message
    assert "sead (command line): unknown option; nearest is seed" in message
    assert "output_dir (not set): this option is needed" in message
    assert failure.value.exit_status == 2


def test_options_that_contradict_each_other_are_refused(tmp_path) -> None:
    path = write(tmp_path / "c.json", NEEDED | {"max_train_steps": 0, "validation_resolution": "832"})
    with pytest.raises(ConfigError, match="(?s)max_train_steps and num_train_epochs.*width x height"):
        load_config(path, {})


def test_the_configuration_is_frozen(tmp_path) -> None:
    config = load_config(write(tmp_path / "c.json", NEEDED), {})
    with pytest.raises(ValueError, match="frozen"):
        config.training.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["seed=3"], {"seed": 3}),
        (["--seed", "3"], {"seed": 3}),
        (["--seed=3"], {"seed": 3}),
        (["--use_ema"], {"use_ema": True}),
        (["--use-ema", "--seed", "-1"], {"use_ema": True, "seed": -1}),
        (["validation_prompt=a cat, 3 dogs"], {"validation_prompt": "a cat, 3 dogs"}),
        (["validation_resolution=832x480"], {"validation_resolution": "832x480"}),
        (["resume_from_checkpoint="], {"resume_from_checkpoint": ""}),
        (["a=[9]", "b={x: 1}", "c=1e-4", "d=false"], {"a": [9], "b": {"x": 1}, "c": 1e-4, "d": False}),
    ],
)
def test_overrides(words: list[str], values: dict[str, Any]) -> None:
    assert parse_overrides(words) == values


def test_a_word_that_is_no_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="'banana'"):
        parse_overrides(["banana"])


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "an object of options"), ("{", "is not JSON"), (None, "does not exist")],
)
def test_an_unreadable_file_says_why(tmp_path, content: str | None, message: str) -> None:
    path = tmp_path / "c.json"
    if content is not None:
        write(path, content)
    with pytest.raises(ConfigError, match=message):
        load_config(path, {})


VIDEO = {"id": "a", "dataset_type": "video", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"}
TEXT = {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"}


def test_a_dataset_file_gives_its_videos_and_its_store(tmp_path) -> None:
    off = VIDEO | {"id": "b", "disabled": True}
    datasets = load_datasets(write(tmp_path / "d.json", [VIDEO | {"video": {"num_frames": 75}}, off, TEXT]))
    assert [video.id for video in datasets.videos] == ["a"]
    assert datasets.videos[0].video.num_frames == 75
    assert datasets.text.cache_dir == "cache/t"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "a list of datasets"),
        ([TEXT], "no video dataset"),
        ([VIDEO], "0 text-embed stores"),
        ([VIDEO, VIDEO, TEXT], "(?s)id 'a' is used twice.*cache_dir_vae 'cache/a' is used twice"),
        ([VIDEO | {"vidoe": {}}, TEXT], "a.vidoe .*unknown key"),
        ([VIDEO | {"crop": True}, TEXT], "a.crop .*is True"),
        ([VIDEO | {"video": {"num_frames": 0}}, TEXT], "a.video.num_frames .*is 0"),
        ([VIDEO | {"caption_strategy": "instanceprompt"}, TEXT], "instance_prompt is needed"),
        ([VIDEO | {"dataset_type": "audio"}, TEXT], "audio"),
        (["x"], "entry 1"),
    ],
)
def test_a_wrong_dataset_file_is_refused(tmp_path, entries: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_datasets(write(tmp_path / "d.json", entries))
