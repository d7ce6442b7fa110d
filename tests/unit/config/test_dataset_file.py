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
        ([TEXT], "F: 1 problem\n  no video dataset"),
        ([VIDEO], "F: 1 problem\n  0 text-embed stores"),
        ([VIDEO, VIDEO, TEXT], "a.id (F, line 9): 'a' is used twice, first in line 3"),
        ([VIDEO, VIDEO, TEXT], "a.cache_dir_vae (F, line 12): 'cache/a' is used twice, first in line 6"),
        ([VIDEO | {"vidoe": {}}, TEXT], "F: 1 problem\n  a.vidoe (F, line 7): unknown key; nearest is video"),
        (
            [VIDEO | {"video": {"num_frame": 1}}, TEXT],
            "a.video.num_frame (F, line 8): unknown key; nearest is num_frames",
        ),
        ([VIDEO, TEXT | {"cach_dir": "x"}], "t.cach_dir (F, line 12): unknown key; nearest is cache_dir"),
        ([VIDEO | {"crop": True}, TEXT], "a.crop (F, line 7): is True"),
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
        ([VIDEO | {"dataset_type": "vidoe"}, TEXT], "a.dataset_type (F, line 4): is 'vidoe'; 'video', 'eval', 'text_e"),
        ([VIDEO, {"dataset_type": "text_embeds", "id": "t"}], "t.cache_dir (F, line 8): this option is needed"),
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
        ("type", "aws", "fetch the files into a local folder first"),
        ("type", "huggingface", "hf download"),
        ("caption_strategy", "instance_prompt", "it is written instanceprompt here"),
        ("caption_strategy", "parquet", "text file beside its clip"),
        ("metadata_backend", "parquet", "clips are found by looking at the files"),
        ("dataset_type", "image", "clips with num_frames 1 are"),
    ],
)
def test_a_value_in_use_elsewhere_is_refused_with_what_there_is(tmp_path, key: str, value: str, reason: str) -> None:
    message = problems_of(write(tmp_path / "d.json", [VIDEO | {key: value}, TEXT]))
    assert message.startswith(f"F: 1 problem\n  a.{key} (F, line ")
    assert reason in message


def test_a_switch_is_no_number_of_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", [VIDEO | {"repeats": True, "video": {"num_frames": True}}, TEXT])
    with pytest.raises(ConfigError) as refused:
        load_datasets(path, [])
    assert str(refused.value).count("a number is needed") == 2
