"""What may change in the middle of a run and what may not, by what the saved tensors depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.root import Config
from reeltune.errors import ConfigError
from reeltune.run.adapter_record import ADAPTER_RECORD, adapter_record
from reeltune.run.resume import changes_since, choose_start, content_changes_since, told_changes
from unit.run.made_up import config_of

LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1, "factor": 4, "dropout": 0.1}
LYCORIS = {"lora_type": "lycoris", "lycoris_config": LOKR}


def saved(place: Path, **options: Any) -> dict[str, Any]:
    """Leave a checkpoint of step 3 of a run with these options, and return what says where."""
    home = {"output_dir": str(place / "run")}
    config = config_of(**home | options)
    folder = place / "run/checkpoint-3"
    folder.mkdir(parents=True)
    for name, record in {"config.json": config.flat(), ADAPTER_RECORD: adapter_record(config)}.items():
        (folder / name).write_text(json.dumps(record))
    return home


def refusal(config: Config) -> str:
    with pytest.raises(ConfigError) as failure:
        choose_start(config)
    return str(failure.value)


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ({}, {"model_type": "full"}, "model_type was 'lora' and is now 'full'"),
        ({}, LYCORIS, "lora_type was 'standard' and is now 'lycoris'"),
        ({}, {"use_dora": True}, "use_dora was False and is now True: the saved tensors"),
        ({}, {"lora_init_type": "pissa"}, "what was learned is the difference to the start that was saved"),
        ({}, {"lora_blocks": "0-3"}, "lora_blocks was None and is now '0-3': the saved adapter sits on other layers"),
        (
            {},
            {"peft_lora_target_modules": ["ffn"]},
            "peft_lora_target_modules was ['attention'] and is now ['ffn']: the saved adapter sits on other layers",
        ),
        (LYCORIS, {"lycoris_config": LOKR | {"factor": 8}}, "factor was 4 and is now 8: the saved tensors"),
        (
            LYCORIS,
            {"lycoris_config": LOKR | {"linear_alpha": 2}},
            "linear_alpha was 1.0 and is now 2.0: the saved weights",
        ),
        (LYCORIS, {"lycoris_config": LOKR | {"apply_preset": {"target_name": ["proj_out"]}}}, "apply_preset was {"),
        ({}, {"adam_weight_decay": 0.5}, "goes on with the settings that it was saved with"),
        ({"eval_steps_interval": 9}, {"eval_split": 0.1}, "files would be measured that were"),
        ({"eval_split": 0.1, "eval_steps_interval": 9}, {"eval_dataset_id": "a"}, "files would be measured that were"),
    ],
)
def test_what_the_saved_tensors_depend_on_cannot_change(
    tmp_path: Path, then: dict[str, Any], now: dict[str, Any], words: str
) -> None:
    home = saved(tmp_path, **then)
    said = refusal(config_of(**home | then | now))
    assert "checkpoint-3 cannot be continued" in said
    assert words in said
    assert 'resume_from_checkpoint=""' in said


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, {"lora_dropout": 0.1}),
        ({"eval_steps_interval": 9}, {"eval_dataset_id": "held"}),
        ({}, {"peft_lora_target_modules": ["attention"]}),
        ({}, {"init_lora": "other.safetensors"}),
        # What nothing depends on may change.
        (LYCORIS, {"lora_rank": 4, "use_dora": True, "peft_lora_target_modules": ["ffn"]}),
        ({"model_type": "full"}, {"lora_rank": 4, "lora_type": "lycoris", "full_output": "pipeline"}),
        ({}, {"lycoris_config": LOKR}),
        (LYCORIS, {"lycoris_config": LOKR | {"dropout": 0.2}}),
    ],
)
def test_what_they_do_not_depend_on_may(tmp_path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    home = saved(tmp_path, **then)
    assert choose_start(config_of(**home | then | now)) == 3


def test_the_content_of_a_description_counts_and_not_its_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps(LOKR))
    two.write_text(json.dumps(dict(reversed(LOKR.items())), indent=4))
    home = saved(tmp_path, lora_type="lycoris", lycoris_config=str(one))
    config = config_of(**home, lora_type="lycoris", lycoris_config=str(two))
    assert choose_start(config) == 3
    one.write_text(json.dumps(LOKR | {"linear_dim": 5}))
    said = refusal(config_of(**home, lora_type="lycoris", lycoris_config=str(one)))
    assert "linear_dim was 4 and is now 5" in said


def test_the_content_of_a_file_of_targets_counts(tmp_path: Path) -> None:
    targets = tmp_path / "targets.json"
    targets.write_text('["ffn"]')
    home = saved(tmp_path, peft_lora_target_modules=str(targets))
    assert choose_start(config_of(**home, peft_lora_target_modules=["ffn"])) == 3
    targets.write_text('["ffn", "attention"]')
    assert "peft_lora_target_modules was ['ffn']" in refusal(config_of(**home, peft_lora_target_modules=str(targets)))


def test_changes_are_told_with_both_values(tmp_path: Path) -> None:
    then = config_of(**LYCORIS)
    now = config_of(lora_type="lycoris", lycoris_config=LOKR | {"dropout": 0.2}, learning_rate=1e-3)
    changes = content_changes_since(now, adapter_record(then))
    assert told_changes(changes) == ["changed since the checkpoint: dropout: 0.1 -> 0.2"]
    assert "learning_rate" in changes_since(now, then.flat())


def test_a_checkpoint_without_the_record_is_taken_as_it_is(tmp_path: Path) -> None:
    home = saved(tmp_path)
    (tmp_path / "run/checkpoint-3" / ADAPTER_RECORD).unlink()
    assert choose_start(config_of(**home)) == 3
