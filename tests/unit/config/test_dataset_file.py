"""The dataset file: what it gives, and what is wrong with it, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import Datasets
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

VIDEO = {"id": "a", "dataset_type": "video", "instance_data_dir": "clips", "cache_dir_vae": "cache/a"}
TEXT = {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"}


def write(path: Path, entries: Any) -> Path:
    """Write each key in a line of its own: entry 1 begins in line 2, its first key is in line 3."""
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries, indent=1), encoding="utf-8")
    return path


def load(path: Path) -> Datasets:
    """Load a file that nothing is to be said about."""
    notes: list[Note] = []
    datasets = load_datasets(path, notes)
    assert notes == []
    return datasets


def problems_of(path: Path) -> str:
    """Return the message that refuses a file, with F for its path."""
    with pytest.raises(ConfigError) as failure:
        load_datasets(path, [])
    return str(failure.value).replace(str(path), "F")


def test_a_dataset_file_gives_its_videos_and_its_store(tmp_path) -> None:
    off = VIDEO | {"id": "b", "disabled": True}
    datasets = load(write(tmp_path / "d.json", [VIDEO | {"video": {"num_frames": 75}}, off, TEXT]))
    assert [video.id for video in datasets.trained] == ["a"]
    assert datasets.trained[0].video.num_frames == 75
    assert datasets.text.cache_dir == "cache/t"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "F: a list of datasets"),
        ([TEXT], "F: 1 problem\n  no dataset is trained"),
        ([VIDEO], "F: 1 problem\n  0 text-embed stores"),
        ([VIDEO, VIDEO, TEXT], "a.id (F, line 9): 'a' is used twice, first in line 3"),
        ([VIDEO, VIDEO, TEXT], "a.cache_dir_vae (F, line 12): 'cache/a' is used twice, first in line 6"),
        ([VIDEO | {"vidoe": {}}, TEXT], "F: 1 problem\n  a.vidoe (F, line 7): unknown key; nearest is video"),
        (
            [VIDEO | {"video": {"num_frame": 1}}, TEXT],
            "a.video.num_frame (F, line 8): unknown key; nearest is num_frames",
        ),
        ([VIDEO, TEXT | {"cach_dir": "x"}], "t.cach_dir (F, line 12): unknown key; nearest is cache_dir"),
        ([VIDEO | {"crop": 5}, TEXT], "a.crop (F, line 7): is 5; true or false is needed"),
        ([VIDEO | {"id": 5}, TEXT], "5.id (F, line 3): is 5; a text is needed"),
        ([VIDEO | {"video": {"num_frames": 0}}, TEXT], "a.video.num_frames (F, line 8): is 0"),
        ([VIDEO | {"video": {"fps": 0}}, TEXT], "a.video.fps (F, line 8): is 0; input should be greater than 0, or "),
        (
            [VIDEO | {"video": {"fps": -24.5}}, TEXT],
            "a.video.fps (F, line 8): is -24.5; input should be greater than 0",
        ),
        ([VIDEO | {"video": 5}, TEXT], "a.video (F, line 7): is 5; an object is needed: { ... }"),
        ([VIDEO | {"caption_strategy": "instanceprompt"}, TEXT], "a.instance_prompt (F, line 2): is needed with"),
        (
            [VIDEO | {"dataset_type": "audio"}, TEXT],
            "a.dataset_type (F, line 4): is 'audio', which is not possible yet:",
        ),
        ([VIDEO | {"dataset_type": "vidoe"}, TEXT], "a.dataset_type (F, line 4): is 'vidoe'; 'video', 'image', 'ev"),
        ([VIDEO | {"parquet": {}}, TEXT], "a.parquet.path (F, line 7): this option is needed"),
        ([VIDEO | {"parquet": {"path": "x", "pth": 1}}, TEXT], "a.parquet.pth (F, line 9): unknown key; nearest is p"),
        ([VIDEO | {"csv_caption_column": 5}, TEXT], "a.csv_caption_column (F, line 7): is 5; a text is needed, in qu"),
        (
            [VIDEO | {"crop_aspect_buckets": [1, {"aspect": 0}]}, TEXT],
            "F: 1 problem\n  a.crop_aspect_buckets.1.aspect (F, line 10): is 0; input should be greater than 0",
        ),
        ([VIDEO | {"type": ["aws"]}, TEXT], "a.type (F, line 7): is ['aws']; 'local', 'aws', 'csv' or 'huggingface'"),
        ([{"dataset_type": "video"}, TEXT], "entry 1.id (F, line 2): this option is needed"),
        (["x", TEXT], "F: 1 problem\n  entry 1 (F, line 2): is 'x'; an object is needed"),
        ('[{"id": "a",\n"video": {"fps": 1,\n"fps": 2}}]', "a.video.fps (F, line 3): is also in line 2; keep one"),
    ],
)
def test_a_wrong_dataset_file_is_refused_with_the_line(tmp_path, entries: Any, message: str) -> None:
    assert message in problems_of(write(tmp_path / "d.json", entries))


def test_all_problems_of_all_entries_are_listed(tmp_path) -> None:
    message = problems_of(write(tmp_path / "d.json", [VIDEO | {"repeats": -1, "colour": 1}, TEXT | {"default": "x"}]))
    assert message.startswith("F: 3 problems")
    assert message.index("a.repeats") < message.index("a.colour") < message.index("t.default")


@pytest.mark.parametrize("fps", [0.5, 24, "native", "model"])
def test_a_rate_above_0_or_a_word_is_accepted(tmp_path, fps: Any) -> None:
    datasets = load(write(tmp_path / "d.json", [VIDEO | {"video": {"fps": fps}}, TEXT]))
    assert datasets.trained[0].video.fps == fps


def test_a_held_out_dataset_is_measured_and_not_trained(tmp_path) -> None:
    held_out = VIDEO | {"id": "b", "dataset_type": "eval", "cache_dir_vae": "cache/b"}
    datasets = load(write(tmp_path / "d.json", [VIDEO, held_out, TEXT]))
    assert [one.id for one in datasets.trained] == ["a"]
    assert [one.id for one in datasets.held_out] == ["b"]
    assert [one.id for one in datasets.clips] == ["a", "b"]


@pytest.mark.parametrize("folder", ["cache/a", "cache/./a", "cache/a/"])
def test_a_store_of_texts_may_not_share_the_folder_of_clips(tmp_path, folder: str) -> None:
    path = write(tmp_path / "d.json", [VIDEO, TEXT | {"cache_dir": folder}])
    assert problems_of(path) == (
        f"F: 1 problem\n  t.cache_dir (F, line 11): {folder!r} is used twice, first in line 6; each entry needs its own"
    )


def test_an_entry_that_is_left_out_shares_nothing(tmp_path) -> None:
    assert len(load(write(tmp_path / "d.json", [VIDEO, VIDEO | {"disabled": True}, TEXT])).trained) == 1


def test_disable_means_disabled_and_both_together_are_refused(tmp_path) -> None:
    path = write(tmp_path / "d.json", [VIDEO, VIDEO | {"id": "b", "disable": True}, TEXT])
    assert [one.id for one in load(path).trained] == ["a"]
    both = write(tmp_path / "d.json", [VIDEO | {"disable": False, "disabled": True}, TEXT])
    assert "a.disable (F, line 7): means disabled; keep one" in problems_of(both)


def test_the_family_stands_in_for_its_name_in_texts(tmp_path) -> None:
    path = write(tmp_path / "d.json", [VIDEO | {"cache_dir_vae": "cache/{model_family}/a"}, TEXT])
    assert load(path).trained[0].cache_dir_vae == "cache/wan/a"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("caption_strategy", "instance_prompt", "it is written instanceprompt here"),
        ("crop_style", "face", "faces are not looked for"),
        ("dataset_type", "conditioning_image_embeds", "text-to-video is what is trained"),
    ],
)
def test_a_value_in_use_elsewhere_is_refused_with_what_there_is(tmp_path, key: str, value: str, reason: str) -> None:
    message = problems_of(write(tmp_path / "d.json", [VIDEO | {key: value}, TEXT]))
    assert message.startswith(f"F: 1 problem\n  a.{key} (F, line ")
    assert reason in message


def test_a_store_of_texts_is_a_local_folder(tmp_path) -> None:
    assert "read at every step" in problems_of(write(tmp_path / "d.json", [VIDEO, TEXT | {"type": "aws"}]))


NO_FOLDER = {key: value for key, value in VIDEO.items() if key != "instance_data_dir"}
AWS = NO_FOLDER | {"type": "aws", "aws_bucket_name": "b"}
CSV = NO_FOLDER | {"type": "csv", "csv_file": "t.csv"}
HUB = NO_FOLDER | {"type": "huggingface", "dataset_name": "o/n"}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (NO_FOLDER, "a.instance_data_dir (F, line 2): is needed with type local"),
        (AWS | {"aws_bucket_name": ""}, "a.aws_bucket_name (F, line 7): is needed with type aws"),
        (NO_FOLDER | {"type": "csv"}, "a.csv_file (F, line 2): is needed with type csv"),
        (NO_FOLDER | {"type": "huggingface"}, "a.dataset_name (F, line 2): is needed with type huggingface"),
        (AWS | {"aws_access_key_id": "k"}, "a.aws_secret_access_key (F, line 2): is needed beside aws_access_key_id"),
        (AWS | {"aws_secret_access_key": "k"}, "a.aws_access_key_id (F, line 2): is needed beside aws_secret_access"),
        (VIDEO | {"caption_strategy": "csv"}, "a.caption_strategy (F, line 7): is csv, which needs type csv, and type"),
        (CSV | {"caption_strategy": "huggingface"}, "a.caption_strategy (F, line 8): is huggingface, which needs type"),
        (VIDEO | {"metadata_backend": "huggingface"}, "a.metadata_backend (F, line 7): is huggingface, which needs"),
        (CSV | {"metadata_backend": "parquet", "parquet": {"path": "t"}}, "a.metadata_backend (F, line 8): is parquet"),
        (VIDEO | {"caption_strategy": "parquet"}, "a.parquet (F, line 2): is needed with caption_strategy parquet"),
        (VIDEO | {"metadata_backend": "parquet"}, "a.parquet (F, line 2): is needed with metadata_backend parquet"),
        (VIDEO | {"caption_strategy": "instanceprompt"}, "a.instance_prompt (F, line 2): is needed with caption_strat"),
        (VIDEO | {"prepend_instance_prompt": True}, "a.instance_prompt (F, line 2): is needed with prepend_instance"),
        (VIDEO | {"only_instance_prompt": True, "instance_prompt": " "}, "a.instance_prompt (F, line 8): is needed w"),
        (VIDEO | {"crop": True, "crop_aspect": "closest"}, "a.crop_aspect_buckets (F, line 2): is needed with crop_as"),
        (VIDEO | {"minimum_aspect_ratio": 2, "maximum_aspect_ratio": 1}, "a.minimum_aspect_ratio (F, line 7): is 2, a"),
        (VIDEO | {"video": {"min_frames": 9, "max_frames": 5}}, "a.video.min_frames (F, line 8): is 9, above max_fra"),
        (VIDEO | {"text_embeds": "u"}, "a.text_embeds (F, line 7): is 'u', which is no store in use; there is t"),
        (VIDEO | {"caption_filter_list": ["x"]}, "a.caption_filter_list (F, line 7): belongs to entries with dataset"),
        (VIDEO | {"num_frames": 5}, 'a.num_frames (F, line 7): belongs inside "video": {"num_frames": ...} of clips'),
        (VIDEO | {"huggingface": {"filter_func": {}}}, "a.huggingface.filter_func (F, line 8): is an option of other"),
        (VIDEO | {"is_regularization_data": True}, "is_regularisation_data is true for all that is trained (a): there"),
    ],
)
def test_keys_that_contradict_or_need_each_other_are_refused_with_the_line(tmp_path, entry: Any, problem: str) -> None:
    assert problems_of(write(tmp_path / "d.json", [entry, TEXT])).startswith(f"F: 1 problem\n  {problem}")


@pytest.mark.parametrize(("entry", "strategy"), [(AWS, "textfile"), (CSV, "csv"), (HUB, "huggingface")])
def test_a_source_that_has_captions_of_its_own_gives_them(tmp_path, entry: Any, strategy: str) -> None:
    (dataset,) = load(write(tmp_path / "d.json", [entry, TEXT])).trained
    assert dataset.caption_strategy == strategy
    (dataset,) = load(write(tmp_path / "d.json", [entry | {"caption_strategy": "filename"}, TEXT])).trained
    assert dataset.caption_strategy == "filename"


def test_what_only_other_datasets_need_is_no_error_elsewhere(tmp_path) -> None:
    entry = VIDEO | {
        "crop_style": "centre",
        "crop_aspect_buckets": [1, {"aspect": 1.78, "weight": 2}],
        "crop": True,
        "crop_aspect": "random",
        "parquet": {"path": "t.parquet", "caption_column": ["long", "short"]},
        "caption_strategy": "parquet",
    }
    (dataset,) = load(write(tmp_path / "d.json", [entry, TEXT | {"caption_filter_list": ["a", "s/b/c/"]}])).trained
    assert dataset.crop_style == "center"
    assert dataset.parquet
    assert dataset.parquet.caption_column == ("long", "short")
    other = VIDEO | {"id": "b", "is_regularisation_data": True, "cache_dir_vae": "cache/b"}
    assert [one.is_regularisation_data for one in load(write(tmp_path / "d.json", [VIDEO, other, TEXT])).trained] == [
        False,
        True,
    ]


SECRET = "wJalrXUtnFEMI"


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"key": SECRET}])
def test_a_key_of_a_store_is_never_shown(tmp_path, value: Any) -> None:
    path = write(tmp_path / "d.json", [AWS | {"aws_secret_access_key": value, "aws_access_key_id": SECRET}, TEXT])
    if value == SECRET:
        datasets = load(path)
        assert datasets.trained[0].aws_secret_access_key == SECRET
        assert SECRET not in repr(datasets)
    else:
        assert "a.aws_secret_access_key (F, line 8): a text is needed; the value may be secret" in problems_of(path)
        assert SECRET not in problems_of(path)


def test_words_in_braces_stand_for_the_family_the_cache_and_the_entry(tmp_path) -> None:
    entry = {"id": "a", "instance_data_dir": "clips/{id}"}
    path = write(tmp_path / "d.json", [entry, {"id": "t", "dataset_type": "text_embeds"}])
    datasets = load_datasets(path, [], cache_dir="/fast")
    assert datasets.trained[0].instance_data_dir == "clips/a"
    assert datasets.trained[0].cache_dir_vae == "/fast/vae/wan/a"
    assert datasets.text.cache_dir == "/fast/text/wan"


def notes_of(path: Path) -> dict[str, str]:
    notes: list[Note] = []
    load_datasets(path, notes)
    assert {note.kind for note in notes} <= {"inert"}
    return {note.about: note.text for note in notes}


def test_keys_of_another_kind_of_dataset_are_noted(tmp_path) -> None:
    pictures = VIDEO | {"dataset_type": "image", "video": {"num_frames": "any"}}
    held = VIDEO | {"id": "b", "cache_dir_vae": "cache/b", "dataset_type": "eval", "repeats": 3, "probability": 0}
    found = notes_of(write(tmp_path / "d.json", [pictures, held, TEXT]))
    assert found.keys() == {"a.video", "b.repeats", "b.probability"}
    hub = HUB | {"huggingface": {"streaming": True, "num_proc": 4}, "text_embeds": "t"}
    found = notes_of(write(tmp_path / "d.json", [hub, TEXT]))
    assert found.keys() == {"a.huggingface.streaming", "a.huggingface.num_proc", "a.text_embeds"}


def test_a_switch_is_no_number_of_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", [VIDEO | {"repeats": True, "video": {"num_frames": True}}, TEXT])
    with pytest.raises(ConfigError) as refused:
        load_datasets(path, [])
    assert str(refused.value).count("a number is needed") == 2
