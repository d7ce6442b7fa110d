"""What is trained: options that rule each other out, that change nothing, and files that they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset
from reeltune.config.inert import inert_settings
from reeltune.config.load import Loaded, load_config, load_run
from reeltune.config.root import Config
from reeltune.errors import ConfigError

NEEDED = {"data_backend_config": "d.json", "output_dir": "output/x", "max_train_steps": 1}
CLIPS: dict[str, Any] = {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"}
TEXT = {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"}
LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1, "factor": 4}
LYCORIS: dict[str, Any] = {"lora_type": "lycoris", "lycoris_config": LOKR}
FULL: dict[str, Any] = {"model_type": "full"}


def config_of(**options: Any) -> Config:
    return load_config([], NEEDED | options)


def loaded(place: Path, clips: dict[str, Any] | None = None, **options: Any) -> Loaded:
    """Load options and datasets as a run does, with the files that they name."""
    data = place / "data.json"
    data.write_text(json.dumps([CLIPS, CLIPS | {"id": "b", "cache_dir_vae": "b"} | (clips or {}), TEXT]))
    return load_run([], NEEDED | options, find_datasets=lambda name: (data, []))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lora_type": "lycoris"}, "lycoris_config is not set: name the file .* lycoris_config=config/wan/"),
        (
            FULL | {"base_model_precision": "int8-quanto"},
            "8 bits cannot be trained; set base_model_precision=no_change",
        ),
        (FULL | {"init_lora": "a.safetensors"}, r"reeltune export a\.safetensors --format merged"),
        ({"use_dora": True, "base_model_precision": "fp8-torchao"}, "which 8 bits round; set use_dora=false"),
        ({"init_lora": "a.safetensors", "lora_init_type": "pissa"}, "with a file, set lora_init_type=default"),
        ({"init_lora": "a.safetensors", "lora_init_type": "gaussian"}, "with a file, set lora_init_type=default"),
        (LYCORIS | {"init_lora": "a.safetensors", "init_lokr_norm": 1e-3}, "with a file, leave init_lokr_norm out"),
    ],
)
def test_options_that_rule_each_other_out_are_refused_with_what_to_type(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as failure:
        config_of(**options)
    assert "1 problem" in str(failure.value)


@pytest.mark.parametrize(
    "options",
    [
        FULL,
        LYCORIS,
        LYCORIS | {"base_model_precision": "int8-quanto"},
        {"use_dora": True},
        {"use_dora": True, "lora_init_type": "olora"},
        {"lora_init_type": "pissa", "base_model_precision": "int8-torchao"},
        {"init_lora": "a.safetensors"},
        {"init_lora": "a.safetensors", "init_lokr_norm": 1e-3},
        LYCORIS | {"init_lora": "a.safetensors", "lora_init_type": "pissa"},
        # What nothing depends on contradicts nothing.
        FULL | {"use_dora": True, "lora_init_type": "pissa"},
        LYCORIS | {"use_dora": True, "base_model_precision": "int8-quanto"},
    ],
)
def test_what_goes_together_is_taken(options: dict[str, Any]) -> None:
    assert config_of(**options)


def test_the_bases_own_answers_cannot_be_trained_on_once_the_base_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is_regularisation_data is true for b, and model_type is full"):
        loaded(tmp_path, {"is_regularisation_data": True}, **FULL)
    assert loaded(tmp_path, {"is_regularisation_data": True})
    assert loaded(tmp_path, **FULL)


def inert_of(**options: Any) -> dict[str, tuple[str, str]]:
    """Return the kind and text of each note by what it is about."""
    datasets = Datasets(trained=(VideoDataset(**CLIPS),), text=TextEmbeds(id="t", cache_dir="cache/t"))
    return {note.about: (note.kind, note.text) for note in inert_settings(config_of(**options), datasets)}


ADAPTERS = {
    "lora_rank": 4,
    "lora_alpha": 2.0,
    "lora_dropout": 0.1,
    "lora_init_type": "gaussian",
    "use_dora": True,
    "peft_lora_target_modules": ["to_q"],
    "lora_blocks": "0",
}
BESIDE_LYCORIS = {"init_lokr_norm": 1e-3, "validation_lycoris_strength": 0.5}


def test_options_of_a_lora_change_nothing_beside_a_description_of_lycoris() -> None:
    notes = inert_of(**LYCORIS, **ADAPTERS, **BESIDE_LYCORIS)
    assert set(notes) == set(ADAPTERS)
    assert {text for _, text in notes.values()} == {"lora_type is lycoris: lycoris_config describes the adapter"}


def test_options_of_lycoris_change_nothing_beside_a_lora() -> None:
    notes = inert_of(lycoris_config=LOKR, full_output="pipeline", **ADAPTERS, **BESIDE_LYCORIS)
    assert set(notes) == {"lycoris_config", "full_output", *BESIDE_LYCORIS}
    assert notes["lycoris_config"] == ("trap", "is not used: lora_type is standard, so a plain LoRA is trained")


def test_options_of_adapters_change_nothing_where_all_weights_are_trained() -> None:
    notes = inert_of(
        **FULL, full_output="pipeline", lora_type="lycoris", lycoris_config=LOKR, **ADAPTERS, **BESIDE_LYCORIS
    )
    assert set(notes) == {"lora_type", "lycoris_config", *ADAPTERS, *BESIDE_LYCORIS}
    assert notes["lora_rank"] == ("inert", "model_type is full: there is no adapter")
    assert notes["lycoris_config"][0] == "trap"


def test_what_changes_nothing_in_a_description_is_told_where_it_is_read() -> None:
    known = LOKR | {"conv_dim": 4}
    notes = inert_of(lora_type="lycoris", lycoris_config=known)
    assert [(name, kind) for name, (kind, _) in notes.items()] == [("lycoris_config.conv_dim", "inert")]
    assert "lycoris_config.conv_dim" not in inert_of(lycoris_config=known)


def refusal_of(place: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as failure:
        loaded(place, **options)
    return str(failure.value)


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "CKPT"])
def test_a_pickled_start_is_refused_before_it_is_opened(tmp_path: Path, ending: str) -> None:
    said = refusal_of(tmp_path, init_lora=f"old.{ending}")
    assert "is a pickled file, which can run code when it is read. Name a .safetensors file" in said


def test_a_folder_is_no_start(tmp_path: Path) -> None:
    assert "is a folder. Name the .safetensors file in it" in refusal_of(tmp_path, init_lora=str(tmp_path))
    (tmp_path / "there.safetensors").write_bytes(b"")
    assert loaded(tmp_path, init_lora=str(tmp_path / "there.safetensors"))
    # Whether it is there is asked when a run starts afresh: one that goes on needs it no more.
    assert loaded(tmp_path, init_lora="no.safetensors")
    assert "--format merged" in refusal_of(tmp_path, init_lora="no.safetensors", **FULL)


def test_all_problems_of_all_files_are_listed_together(tmp_path: Path) -> None:
    description = tmp_path / "lycoris.json"
    description.write_text('{\n"algo": "lokr",\n"multiplier": 1.0,\n"linear_dim": 0,\n"linear_alpha": 1}')
    said = refusal_of(tmp_path, lora_type="lycoris", lycoris_config=str(description), init_lora="no.bin", sead=1)
    assert f"linear_dim ({description}, line 4)" in said
    assert "no.bin is a pickled file" in said
    assert "sead (command line): unknown option; nearest is seed" in said


def test_targets_that_cannot_be_read_are_refused_without_the_model(tmp_path: Path) -> None:
    assert "is no block and no range" in refusal_of(tmp_path, lora_blocks="some")
    (tmp_path / "targets.json").write_text("{}")
    said = refusal_of(tmp_path, peft_lora_target_modules=str(tmp_path / "targets.json"))
    assert "a list of names is needed" in said


def test_a_start_of_lokr_needs_lokr(tmp_path: Path) -> None:
    loha = {key: value for key, value in LOKR.items() if key != "factor"} | {"algo": "loha"}
    said = refusal_of(tmp_path, lora_type="lycoris", lycoris_config=loha, init_lokr_norm=1e-3)
    assert "init_lokr_norm is set and the adapter's algo is loha" in said
    assert loaded(tmp_path, init_lokr_norm=1e-3, **LYCORIS)
    mixed = loha | {
        "apply_preset": {"target_module": ["FeedForward"], "module_algo_map": {"FeedForward": {"algo": "lokr"}}}
    }
    assert loaded(tmp_path, lora_type="lycoris", lycoris_config=mixed, init_lokr_norm=1e-3)
