"""Entries of masks and the clips that name them: what is taken, what is wrong, what changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.dataset_file import load_datasets
from reeltune.config.datasets import VideoDataset
from reeltune.config.foreign import DATASET_INERT_BY_KIND
from reeltune.config.masks import MaskDataset
from reeltune.contracts.notes import Note
from reeltune.errors import ConfigError

TEXT = {"id": "t", "dataset_type": "text_embeds", "cache_dir": "cache/t"}
MASKS = {"id": "m", "dataset_type": "conditioning", "conditioning_type": "mask", "instance_data_dir": "masks"}
CLIPS = {"id": "a", "instance_data_dir": "clips", "cache_dir_vae": "cache/a", "conditioning_data": "m"}


def problems_of(place: Path, *entries: Any) -> str:
    path = place / "data.json"
    path.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    with pytest.raises(ConfigError) as failure:
        load_datasets(path, [])
    return str(failure.value)


def load(place: Path, *entries: Any) -> tuple[Any, list[Note]]:
    path, notes = place / "data.json", []
    path.write_text(json.dumps(entries), encoding="utf-8")
    return load_datasets(path, notes), notes


@pytest.mark.parametrize("kind", ["mask", "segmentation"])
def test_clips_find_the_masks_that_they_name(tmp_path, kind: str) -> None:
    datasets, notes = load(tmp_path, CLIPS, MASKS | {"conditioning_type": kind, "type": "local"}, TEXT)
    masks = datasets.masks_of(datasets.trained[0])
    assert (masks.id, masks.folder, notes) == ("m", Path("masks"), [])


def test_clips_that_name_no_masks_have_none(tmp_path) -> None:
    datasets, notes = load(tmp_path, {**CLIPS, "conditioning_data": None}, MASKS, TEXT)
    assert datasets.masks_of(datasets.trained[0]) is None
    assert [str(note) for note in notes] == [
        'm: no dataset that is trained names these masks: "conditioning_data": "m"'
    ]
    assert notes[0].kind == "inert"


@pytest.mark.parametrize(
    ("clips", "masks", "message"),
    [
        (
            {"conditioning_data": "n"},
            {},
            "a.conditioning_data (F, line 6): is 'n', which is no entry of masks in use; ",
        ),
        ({}, {"disabled": True}, 'is no entry of masks in use; add one with "dataset_type": "conditioning"'),
        ({}, {"conditioning_type": "depth"}, "m.conditioning_type (F, line 11): is 'depth'"),
        ({}, {"conditioning_type": "controlnet"}, "text-to-video is what is trained: only masks are read"),
        ({}, {"type": "aws"}, "masks are found beside each other by name, in a local folder"),
        ({}, {"instance_data_dir": "clips/masks"}, "inside clips of a: they would be trained as clips; move them"),
        ({}, {"instance_data_dir": "clips"}, "inside clips of a: they would be trained as clips; move them"),
        ({}, {"instance_data_dir": "clips"}, "m.instance_data_dir (F, line 12): is 'clips', inside clips of a: they"),
        ({"type": "csv", "csv_file": "a.csv"}, {}, "needs type local, and type is csv: masks are found by the clips'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(tmp_path, clips, masks, message: str) -> None:
    said = problems_of(tmp_path, CLIPS | clips, MASKS | masks, TEXT).replace(str(tmp_path / "data.json"), "F")
    assert "F: 1 problem\n" in said
    assert message in said


@pytest.mark.parametrize(("kind", "use"), [("video", "trained"), ("image", "trained"), ("eval", "measured")])
def test_masks_lie_among_the_clips_of_no_dataset(tmp_path, kind: str, use: str) -> None:
    other = {"id": "b", "dataset_type": kind, "instance_data_dir": "all", "cache_dir_vae": "cache/b"}
    masks = MASKS | {"instance_data_dir": "all/masks"}
    for names_them in ("m", None):
        said = problems_of(tmp_path, {**CLIPS, "conditioning_data": names_them}, masks, other, TEXT)
        assert f"is 'all/masks', inside all of b: they would be {use} as clips; move them" in said
    load(tmp_path, CLIPS, masks, other | {"disabled": True}, TEXT)


def test_held_out_clips_are_measured_whole(tmp_path) -> None:
    held_out = CLIPS | {"id": "h", "dataset_type": "eval", "cache_dir_vae": "cache/h"}
    datasets, notes = load(tmp_path, CLIPS, held_out, MASKS, TEXT)
    assert datasets.masks_of(datasets.held_out[0]) is None
    assert [(note.kind, str(note)) for note in notes] == [
        ("inert", "h.conditioning_data: held-out clips are measured whole, masks or not")
    ]


def test_keys_of_clips_on_masks_change_nothing(tmp_path) -> None:
    _, notes = load(tmp_path, CLIPS, MASKS | {"resolution": 480, "cache_dir_vae": "cache/m"}, TEXT)
    assert [(note.kind, note.about) for note in notes] == [("inert", "m.resolution"), ("inert", "m.cache_dir_vae")]


def test_every_key_of_clips_but_those_of_other_places_is_known_on_masks() -> None:
    elsewhere = ("aws", "csv", "dataset_name", "split", "revision", "video_column", "image_column", "caption_column")
    own = set(VideoDataset.model_fields) - set(MaskDataset.model_fields) - {"conditioning_data"}
    known = set(DATASET_INERT_BY_KIND["conditioning"])
    assert [name for name in own - known if not name.startswith(elsewhere)] == []
