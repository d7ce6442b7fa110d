"""How a configuration is understood where its words and its effect differ: other names, notes, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.dataset_file import STORE_NAMES
from reeltune.config.foreign import DATASET_INERT, DATASET_NOT_YET, INERT, NOT_YET
from reeltune.config.load import Loaded, load_config, load_run
from reeltune.config.root import HIDDEN, Config, canonical_names
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

NEEDED = {
    "data_backend_config": "data.json",
    "output_dir": "output/x",
    "max_train_steps": 10,
    "validation_prompt": "a cat",
}
CLIPS = {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"}
TEXT = {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def run_of(place: Path, options: dict[str, Any], *, clips: Any = None, text: Any = None) -> Loaded:
    """Load options and datasets laid over what is needed at least."""
    data = write(place / "data.json", [CLIPS | (clips or {}), TEXT | (text or {})])
    return load_run([write(place / "c.json", NEEDED | options)], {}, find_datasets=lambda name: (data, []))


def config_of(place: Path, options: dict[str, Any]) -> Config:
    return load_config([write(place / "c.json", NEEDED | options)], {})


def refusal_of(place: Path, options: dict[str, Any], **datasets: Any) -> str:
    """Return the one problem of these options, without the path of its file."""
    with pytest.raises(ConfigError) as failure:
        run_of(place, options, **datasets)
    heading, *problems = str(failure.value).splitlines()
    assert heading.endswith(": 1 problem")
    assert len(problems) == 1
    return problems[0].replace(f"{place}/", "").strip()


def notes_about(loaded: Loaded, name: str) -> list[Note]:
    return [note for note in loaded.notes if name in note.about.split(", ")]


def test_an_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path) -> None:
    base = write(tmp_path / "c.json", NEEDED | {"seed": 1, "lora_rank": 1, "train_batch_size": 1})
    environment = write(tmp_path / "env/c.json", {"lora_rank": 2, "--train_batch_size": 2})
    config = load_config([base, environment], {"train_batch_size": "3"})
    assert (config.training.seed, config.adapter.lora_rank, config.training.train_batch_size) == (1, 2, 3)


def test_two_files_may_name_one_option_differently_and_each_is_told_its_own_faults(tmp_path) -> None:
    base = write(tmp_path / "c.json", NEEDED | {"validation_steps": 5, "sead": 1})
    environment = write(tmp_path / "env/c.json", {"validation_step_interval": 7, "lora_rank": 0})
    with pytest.raises(ConfigError) as failure:
        load_config([base, environment], {})
    assert f"sead ({base}, line 7)" in str(failure.value)
    assert f"lora_rank ({environment}, line 3)" in str(failure.value)
    assert "validation" not in str(failure.value)


@pytest.mark.parametrize(("given", "ignored"), [(True, False), (False, True), ("true", False), ("false", True)])
def test_a_name_of_the_opposite_is_turned_around(tmp_path, given: Any, ignored: bool) -> None:
    assert config_of(tmp_path, {"strict_epoch_limit": given}).training.ignore_final_epochs is ignored
    typed = load_config([write(tmp_path / "c.json", NEEDED)], {"strict_epoch_limit": str(given).lower()})
    assert typed.training.ignore_final_epochs is ignored


def test_a_name_of_the_opposite_that_is_no_switch_is_a_problem_of_the_option(tmp_path) -> None:
    assert refusal_of(tmp_path, {"strict_epoch_limit": "perhaps"}).endswith("is 'perhaps'; true or false is needed")


def test_switches_in_quotes_are_read_with_one_note_that_names_them(tmp_path) -> None:
    loaded = run_of(tmp_path, {"push_to_hub": "true", "use_ema": "false", "gradient_checkpointing": True})
    assert loaded.config.reporting.push_to_hub is True
    assert loaded.config.average.use_ema is False
    (note,) = notes_about(loaded, "push_to_hub")
    assert (note.kind, note.about) == ("trap", "push_to_hub, use_ema")
    assert notes_about(loaded, "use_ema") == [note]


def test_a_text_that_reads_true_is_no_switch(tmp_path) -> None:
    assert notes_about(run_of(tmp_path, {"validation_prompt": "true"}), "validation_prompt") == []


def test_all_names_may_carry_dashes(tmp_path) -> None:
    options = {f"--{name}": value for name, value in (NEEDED | {"snr_gamma": 5}).items()}
    data = write(tmp_path / "data.json", [CLIPS, TEXT])
    loaded = load_run([write(tmp_path / "c.json", options)], {}, find_datasets=lambda name: (data, []))
    assert loaded.config.reporting.output_dir == "output/x"
    assert len(notes_about(loaded, "snr_gamma")) == 1


def test_every_inert_option_is_accepted_with_its_reason(tmp_path) -> None:
    loaded = run_of(tmp_path, dict.fromkeys(INERT, "anything"))
    assert {note.about: (note.kind, note.text) for note in loaded.notes if note.about in INERT} == {
        name: ("inert", reason) for name, reason in INERT.items()
    }


def test_every_missing_option_is_refused_with_what_there_is(tmp_path) -> None:
    with pytest.raises(ConfigError) as failure:
        run_of(tmp_path, dict.fromkeys(NOT_YET, "anything"))
    problems = str(failure.value).splitlines()[1:]
    assert len(problems) == len(NOT_YET)
    for (name, reason), problem in zip(NOT_YET.items(), problems, strict=True):
        assert problem.strip().startswith(f"{name} (")
        assert problem.endswith(f"is an option of other trainers that reeltune does not have yet: {reason}")


def test_every_inert_key_of_a_dataset_is_accepted_with_its_reason(tmp_path) -> None:
    anything = dict.fromkeys(DATASET_INERT, "anything")
    loaded = run_of(tmp_path, {}, clips=anything | dict.fromkeys(STORE_NAMES, TEXT["id"]), text=anything)
    found = {note.about: (note.kind, note.text) for note in loaded.notes}
    for name, reason in DATASET_INERT.items():
        assert found[f"a.{name}"] == found[f"t.{name}"] == ("inert", reason)


def test_every_missing_key_of_a_dataset_is_refused_with_what_there_is(tmp_path) -> None:
    with pytest.raises(ConfigError) as failure:
        run_of(tmp_path, {}, clips=dict.fromkeys(DATASET_NOT_YET, "anything"))
    problems = str(failure.value).splitlines()[1:]
    assert len(problems) == len(DATASET_NOT_YET)
    for (name, reason), problem in zip(DATASET_NOT_YET.items(), problems, strict=True):
        assert problem.strip().startswith(f"a.{name} (")
        assert problem.endswith(f": {reason}")


def test_no_key_of_other_trainers_is_an_option_here() -> None:
    assert not {*INERT, *NOT_YET} & set(canonical_names())
    assert not set(INERT) & set(NOT_YET)
    assert not set(DATASET_INERT) & set(DATASET_NOT_YET)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("base_model_precision", "nf4-bnb", "Wan's transformer does not survive 4 bits"),
        ("base_model_precision", "int4-quanto", "Wan's transformer does not survive 4 bits"),
        ("base_model_precision", "int8dq-torchao", "it rounds activations"),
        ("mixed_precision", "fp16", "small gradients vanish in it"),
        ("sageattention_usage", "training", "SageAttention has no backward pass"),
        ("sageattention_usage", "training+inference", "SageAttention has no backward pass"),
        ("quantize_activations", True, "gradients through rounded activations are silently wrong"),
        ("optimizer", "sdnq-muon", "torch-muon is the nearest that is"),
        ("lora_init_type", "loftq", "default works on every base"),
        ("report_to", "comet_ml", "wandb, tensorboard and csv are"),
        ("report_to", "wandb,swanlab", "wandb, tensorboard and csv are"),
        ("validation_noise_scheduler", "ddim", "unipc and euler fit"),
    ],
)
def test_a_value_in_use_elsewhere_is_refused_with_the_reason(tmp_path, name: str, value: Any, reason: str) -> None:
    problem = refusal_of(tmp_path, {name: value})
    assert problem.startswith(f"{name} (c.json, line ")
    assert "which is not " in problem
    assert reason in problem


def test_a_name_with_a_word_missing_is_the_option_that_is_meant(tmp_path) -> None:
    config = config_of(tmp_path, {"pretrained_transformer_name_or_path": "tuned.safetensors"})
    assert config.model.pretrained_transformer_model_name_or_path == "tuned.safetensors"


ROUTES = {"routes": [{"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": -2}]}


def test_routes_mean_the_same_as_an_object_and_as_a_text(tmp_path) -> None:
    given = config_of(tmp_path, {"tread_config": ROUTES})
    as_text = config_of(tmp_path, {"tread_config": json.dumps(ROUTES)})
    typed = load_config([write(tmp_path / "c.json", NEEDED)], {"tread_config": json.dumps(ROUTES)})
    assert given.training.tread_config is not None
    assert given.training.tread_config.routes[0].end_layer_idx == -2
    assert given.training == as_text.training
    assert given.flat() == typed.flat() == given.flat() | {"tread_config": ROUTES}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("wandb", ("wandb",)),
        ("wandb,csv", ("wandb", "csv")),
        (["wandb", "tensorboard"], ("wandb", "tensorboard")),
        ("none", ()),
        ("", ()),
        (None, ()),
        (False, ()),
        ("all", ("all",)),
    ],
)
def test_trackers_are_named_in_one_text_or_a_list(tmp_path, value: Any, names: tuple[str, ...]) -> None:
    assert config_of(tmp_path, {"report_to": value}).reporting.report_to == names


@pytest.mark.parametrize(
    ("value", "layers"), [(9, (9,)), ([9], (9,)), ("[9]", (9,)), ("9", (9,)), ([9, 10], (9, 10)), (None, None)]
)
def test_layers_to_skip_are_one_number_or_a_list(tmp_path, value: Any, layers: Any) -> None:
    assert (
        config_of(tmp_path, {"validation_guidance_skip_layers": value}).rendering.validation_guidance_skip_layers
        == layers
    )


@pytest.mark.parametrize("value", ["nine", "[9", [-1], True])
def test_layers_that_are_none_are_refused(tmp_path, value: Any) -> None:
    assert refusal_of(tmp_path, {"validation_guidance_skip_layers": value}).startswith("validation_guidance_skip_lay")


HOOK = {"webhook_type": "raw", "callback_url": "https://example.org/secret"}


@pytest.mark.parametrize("value", [HOOK, [HOOK], json.dumps(HOOK), "  " + json.dumps([HOOK])])
def test_a_secret_is_kept_and_never_shown(tmp_path, value: Any) -> None:
    config = config_of(tmp_path, {"webhook_config": value})
    assert config.reporting.webhook_config == value
    assert config.flat()["webhook_config"] == HIDDEN
    assert "secret" not in json.dumps(config.flat())


def test_a_secret_in_the_wrong_form_is_refused_without_being_shown(tmp_path) -> None:
    problem = refusal_of(tmp_path, {"webhook_config": ["https://example.org/secret"]})
    assert problem.startswith("webhook_config (c.json, line ")
    assert "example" not in problem


@pytest.mark.parametrize("value", ["config/wan/webhook.json", None])
def test_the_file_of_secrets_is_none(tmp_path, value: Any) -> None:
    assert config_of(tmp_path, {"webhook_config": value}).flat()["webhook_config"] == value


def test_what_is_inert_beside_other_options_is_noted_and_only_then(tmp_path) -> None:
    def notes(**options: Any) -> set[str]:
        return {note.about for note in run_of(tmp_path, options).notes if note.kind == "inert"}

    assert notes(quantize_via="cpu") == {"quantize_via"}
    assert notes(quantize_via="cpu", base_model_precision="int8-quanto") == set()
    assert notes(lr_power=1.0) == {"lr_power"}
    assert notes(lr_power=1.0, lr_scheduler="polynomial") == set()
    assert notes(ema_decay=0.9) == {"ema_decay"}
    assert notes(ema_decay=0.9, use_ema=True) == set()
    assert notes() == set()


def test_a_default_that_every_dataset_overrides_is_noted(tmp_path) -> None:
    own = run_of(tmp_path, {"resolution": 480}, clips={"resolution": 480})
    assert [note.kind for note in notes_about(own, "resolution")] == ["inert"]
    assert notes_about(run_of(tmp_path, {"resolution": 480}), "resolution") == []


def test_limits_of_a_crop_that_is_off_are_noted_for_the_dataset(tmp_path) -> None:
    loaded = run_of(tmp_path, {}, clips={"maximum_image_size": 512, "target_downsample_size": None})
    assert [note.about for note in loaded.notes] == ["a.maximum_image_size"]
