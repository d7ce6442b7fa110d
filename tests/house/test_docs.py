"""The pages that are made from the code are those in the repository, and hold what users look for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reeltune.config.foreign import DATASET_INERT, DATASET_NOT_YET, INERT, NOT_YET
from reeltune.config.root import canonical_names
from reeltune.manual import compatibility, page
from reeltune.manual.compatibility import EFFECTIVE, INERT_HERE, MISSING, NOTED, quickstart_files, statuses
from reeltune.manual.compatibility_rows import CLIPS, OWN, QUICKSTART, SNIPPETS
from reeltune.manual.describe import all_described

DOCS = Path(__file__).parents[2] / "docs"

SEED_KEYS = """
resume_from_checkpoint quantize_via attention_mechanism data_backend_config aspect_bucket_rounding seed
minimum_image_size offload_during_startup disable_benchmark output_dir lora_type lycoris_config max_train_steps
num_train_epochs checkpointing_steps checkpoints_total_limit hub_model_id push_to_hub push_checkpoints_to_hub
tracker_project_name tracker_run_name report_to model_type pretrained_model_name_or_path
pretrained_t5_model_name_or_path model_family train_batch_size gradient_checkpointing gradient_accumulation_steps
caption_dropout_probability resolution_type resolution validation_seed validation_steps validation_resolution
validation_prompt validation_negative_prompt validation_guidance validation_num_inference_steps
validation_num_video_frames mixed_precision optimizer learning_rate max_grad_norm grad_clip_method lr_scheduler
lr_warmup_steps base_model_precision vae_batch_size webhook_config compress_disk_cache use_ema ema_validation
ema_update_interval delete_problematic_images disable_bucket_pruning validation_guidance_skip_layers
validation_guidance_skip_layers_start validation_guidance_skip_layers_stop lora_rank flow_schedule_shift
validation_prompt_library ignore_final_epochs
""".split()
"""The keys of the configuration that SimpleTuner's quickstart shows, by hand."""


@pytest.mark.parametrize(
    ("name", "made", "command"),
    [
        ("options.md", page.markdown, page.REGENERATE),
        ("compatibility.md", compatibility.markdown, compatibility.REGENERATE),
    ],
)
def test_a_page_is_the_one_that_the_code_makes(name: str, made, command: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == made(), f"docs/{name} is out of date. Type: {command}"
    assert command in text


def test_all_63_keys_of_the_quickstart_have_a_row() -> None:
    assert len(SEED_KEYS) == len(set(SEED_KEYS)) == 63
    assert sorted(name for row in QUICKSTART for name in row.given) == sorted(SEED_KEYS)
    assert len(QUICKSTART) == 56
    part = (DOCS / "compatibility.md").read_text(encoding="utf-8").split("\n## ")[1]
    for name in SEED_KEYS:
        assert re.search(rf"^\| (.*<br>)?`{name}` = ", part, re.MULTILINE), name


def test_the_quickstart_is_effective_but_for_what_its_own_other_keys_rule_out() -> None:
    found = dict(zip((next(iter(row.given)) for row in QUICKSTART), statuses([*QUICKSTART, *CLIPS]), strict=False))
    assert {name for name, status in found.items() if status == MISSING} == set()
    assert {name for name, status in found.items() if status == INERT_HERE} == {
        "quantize_via",
        "lycoris_config",
        "minimum_image_size",
        "resolution_type",
        "ignore_final_epochs",
    }
    assert {name for name, status in found.items() if status == NOTED} == {
        "push_to_hub",
        "push_checkpoints_to_hub",
        "delete_problematic_images",
    }


def test_a_status_follows_the_loader_and_not_the_table() -> None:
    (row,) = (row for row in QUICKSTART if "ignore_final_epochs" in row.given)
    (epochs,) = (row for row in QUICKSTART if "num_train_epochs" in row.given)
    assert statuses([row, epochs])[0] == INERT_HERE
    assert statuses([row, type(row)({"num_train_epochs": 3}, "")])[0] == EFFECTIVE
    assert statuses([type(row)({"no_such_key": 3}, ""), row])[0] == MISSING


def test_the_keys_of_the_pages_other_parts_are_declared_or_known() -> None:
    known = {*canonical_names(), *INERT, *NOT_YET, *DATASET_INERT, *DATASET_NOT_YET}
    known |= {known for one in all_described() for known in (one.name.rpartition(".")[2], *one.also)}
    for row in [*CLIPS, *(row for snippet in SNIPPETS for row in snippet.rows)]:
        assert {name.removeprefix("--") for name in row.given} <= known
    assert set(OWN) <= known


def test_every_known_key_is_on_the_page_of_compatibility() -> None:
    text = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    names = {*canonical_names(), *INERT, *NOT_YET, *DATASET_INERT, *DATASET_NOT_YET}
    assert {name for name in names if f"`{name}`" not in text and f"`--{name}`" not in text} == set()


def test_every_option_and_key_is_on_the_page_of_options() -> None:
    text = (DOCS / "options.md").read_text(encoding="utf-8")
    for one in all_described():
        assert f"| `{one.name}` | " in text


def test_the_quickstarts_files_hold_its_keys_in_their_places() -> None:
    configuration, (clips, text) = quickstart_files()
    assert set(SEED_KEYS) == set(configuration)
    assert clips["video"]["num_frames"] == 75
    assert text["write_batch_size"] == 128
