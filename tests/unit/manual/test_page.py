"""What `reeltune options` answers: a list, an explanation, a search."""

from __future__ import annotations

import pytest

from reeltune.errors import ConfigError
from reeltune.manual.describe import all_described
from reeltune.manual.page import answer, overview


def test_the_list_names_every_option_with_default_and_sentence_in_aligned_columns() -> None:
    lines = overview(160).splitlines()
    by_name = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert {one.name for one in all_described()} <= set(by_name)
    assert by_name["lora_rank"].split()[1:3] == ["16", "Inner"]
    assert by_name["lora_rank"].index("16") == by_name["train_batch_size"].index("4 ")
    assert max(map(len, lines)) <= 160


@pytest.mark.parametrize("name", ["checkpointing_steps", "--checkpointing-steps", "checkpoint_step_interval=5"])
def test_an_exact_name_is_explained_in_full(name: str) -> None:
    assert answer([name], 100).splitlines() == [
        "checkpointing_steps  (configuration: Saving and telling)",
        "  Save a resumable checkpoint every this many steps, and at the end; 0 saves at the end only.",
        "  value         a whole number, at least 0",
        "  default       500",
        "  unit          steps",
        "  command line  checkpointing_steps=500",
        "  also called   checkpoint_step_interval",
    ]


def test_choices_an_example_and_refusals_are_part_of_the_explanation() -> None:
    text = answer(["mixed_precision"], 100)
    assert "value         bf16 | no" in text
    assert "not taken     fp16: small gradients vanish in it" in text
    text = answer(["optimizer"], 100)
    assert "optimi-lion, " in text
    assert '"optimizer": "optimi-lion"' in text
    assert "command line  optimizer=optimi-lion" in text


def test_an_opposite_name_explains_the_option_that_it_turns_around() -> None:
    assert "opposite      strict_epoch_limit" in answer(["strict_epoch_limit"], 100)


def test_a_name_of_several_files_is_explained_for_each() -> None:
    text = answer(["resolution"], 100)
    assert "resolution  (configuration: Data)" in text
    assert "resolution  (dataset file: A dataset)" in text
    assert "command line" in text.split("\n\n")[0]
    assert "command line" not in text.split("\n\n")[1]


def test_several_names_are_explained_one_after_the_other() -> None:
    assert answer(["seed", "lora_rank"], 100) == answer(["seed"], 100) + "\n\n" + answer(["lora_rank"], 100)


def test_keys_inside_others_are_found_by_their_own_name() -> None:
    assert "video.num_frames  (dataset file: Frames of a dataset)" in answer(["num_frames"], 100)
    assert "a number, at least 0, below 1" in answer(["selection_ratio"], 100)
    assert "webhook file" in answer(["callback_url"], 100)
    assert "parquet.filename_column  (dataset file: A table of captions of a dataset)" in answer(
        ["filename_column"], 100
    )
    assert "crop_aspect_buckets.weight  (dataset file: A shape of crops of a dataset)" in answer(["weight"], 100)


def test_lists_objects_and_several_types_are_said_in_words() -> None:
    values = {one.name: one.value for one in all_described() if one.file == "dataset file"}
    assert values["crop_aspect_buckets"] == "a list of numbers, above 0, or of objects of aspect, weight"
    assert values["csv_caption_column"] == "a text, or a list of texts"
    assert values["parquet"].startswith("an object of path, filename_column, caption_column and 4 more, or unset")
    assert values["video.fps"] == "a number, above 0, or native | model"
    assert values["video"].startswith("an object of num_frames, min_frames, max_frames and 6 more")


def test_words_are_looked_for_in_names_and_sentences() -> None:
    text = answer(["skip", "layers"], 100)
    assert "validation_guidance_skip_layers_start" in text
    assert "lora_rank" not in text
    assert "checkpointing_steps" in answer(["resumable"], 100)


def test_keys_of_other_trainers_are_found_with_what_there_is() -> None:
    assert answer(["snr_gamma"], 100).startswith("snr_gamma (configuration) changes nothing here: ")
    assert answer(["image_embeds"], 100).startswith("image_embeds (dataset file) is not here: ")
    assert answer(["filter_func"], 100).startswith("filter_func (dataset file, inside huggingface) is not here: ")
    found = answer(["fsdp"], 100)
    assert "fsdp_version (configuration) is not here: one process" in found


def test_nothing_found_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="nearest is lora_rank"):
        answer(["lora_rnak"], 100)
    with pytest.raises(ConfigError, match="no option has 'qqq'"):
        answer(["qqq"], 100)
