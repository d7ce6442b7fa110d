"""Which configuration a command is about."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from reeltune.cli.examples_folder import examples_folder
from reeltune.cli.source import (
    ENVIRONMENT,
    Source,
    add_source_arguments,
    command,
    find_datasets,
    find_source,
    load_source,
)
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

OPTIONS = {"data_backend_config": "config/data.json", "output_dir": "output/a", "max_train_steps": 10}
DATASETS = [
    {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/vae"},
    {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/text"},
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one configuration of its own and two environments, and no word in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    write("config/config.json", OPTIONS | {"seed": 1})
    write("config/mice/config.json", OPTIONS | {"seed": 2})
    write("config/ducks/config.json", {"seed": 3})
    write("config/data.json", DATASETS)
    return tmp_path


def write(name: str, content: object) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def arguments_of(*words: str) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_source_arguments(parser)
    return parser.parse_known_args(words)


def source_of(*words: str) -> Source:
    return find_source(*arguments_of(*words))


def names_of(*words: str) -> list[str]:
    return [path.as_posix() for path in source_of(*words).paths]


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ((), ["config/config.json"]),
        (("--config", "config/mice/config.json"), ["config/mice/config.json"]),
        (("config=config/mice/config.json",), ["config/mice/config.json"]),
        (("--config=config/mice/config.json", "config=config/mice/config.json"), ["config/mice/config.json"]),
        (("--env", "mice"), ["config/mice/config.json"]),
        (("--env=mice",), ["config/mice/config.json"]),
        (("env=mice",), ["config/mice/config.json"]),
        (("--env", "mice", "env=mice"), ["config/mice/config.json"]),
        (("--config", "config/config.json", "env=mice"), ["config/config.json", "config/mice/config.json"]),
    ],
)
def test_a_configuration_is_named_in_several_ways(words: tuple[str, ...], paths: list[str]) -> None:
    assert names_of(*words) == paths
    assert source_of(*words).overrides == {}


@pytest.mark.parametrize("words", [("--example", "tiny"), ("example=tiny",), ("--example=tiny",)])
def test_an_example_is_named_in_several_ways(words: tuple[str, ...]) -> None:
    source = source_of(*words)
    assert source.paths == (examples_folder() / "tiny/config.json",)
    assert source.example == "tiny"
    assert source.announcement().startswith("Running the bundled example 'tiny': ")


def test_an_environment_lies_over_the_file_and_the_command_line_over_both() -> None:
    words = ("--config", "config/config.json", "--env", "ducks")
    assert load_source(source_of(*words)).config.training.seed == 3
    assert load_source(source_of(*words, "seed=4")).config.training.seed == 4
    assert load_source(source_of(*words, "--seed", "5")).config.training.seed == 5
    assert load_source(source_of(*words)).config.training.max_train_steps == 10, (
        "the file's own, which nobody overrides"
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_the_environment_of_the_process_names_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "mice")
    assert names_of() == ["config/mice/config.json"]
    assert names_of("--env", "ducks") == ["config/ducks/config.json"], "what is typed wins"
    assert names_of("--config", "config/config.json") == ["config/config.json"], "what is typed wins"


def test_of_several_in_the_environment_our_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLETUNER_ENV", "mice")
    monkeypatch.setenv("REELTUNE_ENV", "ducks")
    assert names_of() == ["config/ducks/config.json"]


@pytest.mark.parametrize(
    "words", [("--env", "cats"), ("env=cats",), ("--config", "config/config.json", "--env", "cats")]
)
def test_an_environment_that_is_missing_is_an_error_that_lists_those_there_are(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"config/cats/config\.json does not exist in .*there are: ducks, mice\."):
        source_of(*words)


def test_a_missing_environment_of_the_process_is_no_silent_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLETUNER_ENVIRONMENT", "cats")
    with pytest.raises(ConfigError, match=r"config/cats/config\.json does not exist"):
        source_of()


def test_without_any_configuration_there_is_a_way_on() -> None:
    Path("config/config.json").unlink()
    with pytest.raises(ConfigError, match="reeltune configure.*reeltune train --example tiny"):
        source_of()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--config", "config/config.json", "config=config/mice/config.json"),
            "--config config/config.json and config=config/mice/config.json each name a configuration; keep one",
        ),
        (("--env", "mice", "env=ducks"), "--env mice and env=ducks each name a configuration; keep one"),
        (("--example", "tiny", "--env", "mice"), "--example names a configuration of its own"),
        (("example=tiny", "config=config/config.json"), "--example names a configuration of its own"),
        (("--example", "huge"), "there is no example 'huge'; there are: tiny"),
    ],
)
def test_names_that_disagree_are_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source_of(*words)


@pytest.mark.parametrize("words", [("--env", ""), ("env=",), ("config=",), ("example=",), ("--example", "")])
def test_an_empty_name_is_no_wish_for_another_configuration(words: tuple[str, ...]) -> None:
    kind = words[0].removeprefix("--").removesuffix("=")
    with pytest.raises(ConfigError, match=f"command line: {kind} needs a value: --{kind} NAME"):
        source_of(*words)


def test_a_folder_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match="config"):
        load_source(source_of("--config", "config"))


def test_what_named_the_configuration_can_be_typed_again() -> None:
    arguments, rest = arguments_of("--config", "config/config.json", "--env", "mice", "seed=3")
    assert command("plan", arguments, rest) == "reeltune plan --config config/config.json --env mice seed=3"


def test_the_announcement_names_the_files_in_order() -> None:
    source = source_of("--config", "config/config.json", "--env", "mice")
    assert source.announcement() == "Configuration: config/config.json, then config/mice/config.json"


def test_a_dataset_file_in_its_usual_place_stands_in_and_is_a_trap() -> None:
    write("config/multidatabackend.json", DATASETS)
    path, notes = find_datasets("config/wan/multidatabackend.json")
    assert path == Path("config/multidatabackend.json")
    (note,) = notes
    assert (note.kind, note.about) == ("trap", "data_backend_config")
    assert note.text == "config/wan/multidatabackend.json does not exist; config/multidatabackend.json is used instead"
    loaded = load_source(source_of("data_backend_config=config/wan/multidatabackend.json"))
    assert [dataset.id for dataset in loaded.datasets.trained] == ["a"]
    assert note in loaded.notes


def test_a_dataset_file_that_is_there_is_taken_as_named() -> None:
    write("config/multidatabackend.json", DATASETS)
    write("config/wan/multidatabackend.json", DATASETS)
    assert find_datasets("config/wan/multidatabackend.json") == (Path("config/wan/multidatabackend.json"), [])


def test_a_dataset_file_of_another_name_has_no_stand_in() -> None:
    write("config/multidatabackend.json", DATASETS)
    with pytest.raises(ConfigError, match=r"config/mine\.json"):
        load_source(source_of("data_backend_config=config/mine.json"))


def test_a_bundled_dataset_file_is_found_from_anywhere() -> None:
    name = "examples/tiny/multidatabackend.json"
    assert find_datasets(name) == (examples_folder() / "tiny/multidatabackend.json", [])


BASE = "pretrained_model_name_or_path"
TEXT = "pretrained_t5_model_name_or_path"


def test_a_part_that_repeats_the_base_follows_it_on_the_command_line() -> None:
    write(
        "config/config.json", OPTIONS | {BASE: "release", TEXT: "release", "pretrained_vae_model_name_or_path": "vae"}
    )
    loaded = load_source(source_of(f"{BASE}=mine"))
    model = loaded.config.model
    assert (model.base_model, model.pretrained_t5_model_name_or_path) == ("mine", "mine")
    assert model.pretrained_vae_model_name_or_path == "vae", "another place is meant"
    assert Note("fact", TEXT, f"repeats {BASE} in the file, and follows it to mine") in loaded.notes


@pytest.mark.parametrize(
    ("words", "text"), [((), "release"), ((f"{BASE}=mine", f"{TEXT}=release"), "release"), ((f"{TEXT}=own",), "own")]
)
def test_what_is_typed_of_a_part_or_not_typed_of_the_base_stands(words: tuple[str, ...], text: str) -> None:
    write("config/config.json", OPTIONS | {BASE: "release", TEXT: "release"})
    loaded = load_source(source_of(*words))
    assert loaded.config.model.pretrained_t5_model_name_or_path == text
    assert not [note for note in loaded.notes if note.about == TEXT]
