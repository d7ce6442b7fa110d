"""Every file of every dataset is trained, held out, or left out with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers.clips import indexed_frames
from helpers.quickstart import track
from reeltune.config.datasets import Datasets, EvalDataset, ImageDataset, TextEmbeds, VideoDataset, VideoOptions
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.contracts.clip import Manifest, ManifestRow, samples_of
from reeltune.data.hold_out import held_out_names
from reeltune.data.scan import UNREADABLE
from reeltune.errors import DataError
from reeltune.families.wan.variants import WAN_21
from reeltune.media import write_mp4
from reeltune.run.manifest import make_manifest, write_quarantine

MEASURED = {"eval_steps_interval": 1}
FILTERS = ("a photo of ",)


def add_clip(folder: Path, name: str, *, width: int = 160, height: int = 96) -> None:
    folder.mkdir(exist_ok=True)
    write_mp4(folder / f"{name}.mp4", indexed_frames(10, width=width, height=height), fps=16.0)
    (folder / f"{name}.txt").write_text("a clip")


def keys(folder: Path, **options: Any) -> dict[str, Any]:
    video = VideoOptions(num_frames=5)
    places = {"instance_data_dir": str(folder), "cache_dir_vae": str(folder.parent / f"cache-{folder.name}")}
    return {"id": folder.name, "video": video, **places, **options}


def config_of(**options: Any) -> Config:
    needed = {"data_backend_config": "d.json", "output_dir": "o/x", "max_train_steps": 1, "train_batch_size": 2}
    return load_config([], needed | {"resolution": 96} | options)


def manifest_of(
    *videos: VideoDataset | ImageDataset, held_out: tuple[EvalDataset, ...] = (), **options: Any
) -> Manifest:
    text = TextEmbeds(id="t", cache_dir="text", caption_filter_list=FILTERS)
    datasets = Datasets(trained=videos, held_out=held_out, text=text)
    return make_manifest(config_of(**options), datasets, WAN_21, track)


def names(rows: Iterable[ManifestRow]) -> list[str]:
    return [row.path.stem for row in rows if row.sample]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two wide clips and a square one."""
    for name, width in (("a", 160), ("b", 160), ("square", 100)):
        add_clip(tmp_path / "clips", name, width=width)
    return tmp_path / "clips"


def test_small_buckets_go_only_where_that_is_asked_for(clips: Path) -> None:
    dataset = VideoDataset(**keys(clips))
    assert names(manifest_of(dataset).trained) == ["a", "b", "square"]
    pruned = manifest_of(dataset, disable_bucket_pruning=False)
    assert names(pruned.trained) == ["a", "b"]
    assert pruned.trained[2].reason.startswith("bucket pruned: 96x96x5 has 1 samples an epoch")
    assert names(manifest_of(dataset, disable_bucket_pruning=False, train_batch_size=1).trained) == names(
        manifest_of(dataset).trained
    )


def test_repeats_save_a_small_bucket(clips: Path) -> None:
    dataset = VideoDataset(**keys(clips, repeats=1))
    assert names(manifest_of(dataset, disable_bucket_pruning=False).trained) == ["a", "b", "square"]


def test_when_all_is_pruned_the_table_says_so(clips: Path) -> None:
    with pytest.raises(DataError, match="3  bucket pruned"):
        manifest_of(VideoDataset(**keys(clips)), disable_bucket_pruning=False, train_batch_size=9)


def test_held_out_clips_are_apart_and_never_pruned(tmp_path: Path, clips: Path) -> None:
    add_clip(tmp_path / "measured", "alone", width=100)
    measured = EvalDataset(**keys(tmp_path / "measured"))
    manifest = manifest_of(VideoDataset(**keys(clips)), held_out=(measured,), **MEASURED, disable_bucket_pruning=False)
    assert (names(manifest.trained), names(manifest.held_out)) == (["a", "b"], ["alone"])
    assert [row.dataset_id for row in manifest.held_out] == ["measured"]
    assert manifest.rows == (*manifest.trained, *manifest.held_out)


def test_held_out_clips_do_not_stand_in_for_trained_ones(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.mp4").write_bytes(b"no video" * 40)
    (tmp_path / "empty/a.txt").write_text("a clip")
    with pytest.raises(DataError, match="no clip can be trained"):
        manifest_of(VideoDataset(**keys(tmp_path / "empty")), held_out=(EvalDataset(**keys(clips)),), **MEASURED)


@pytest.mark.parametrize(
    ("own", "common", "buckets"),
    [
        ({}, {"resolution": 96}, {"128x64x5", "96x96x5"}),
        ({}, {"resolution": 128}, {"160x96x5", "128x128x5"}),
        ({"resolution": 96}, {"resolution": 128}, {"128x64x5", "96x96x5"}),
        ({}, {"resolution": 96, "resolution_type": "pixel"}, {"160x96x5", "96x96x5"}),
        ({"resolution_type": "pixel"}, {"resolution": 96}, {"160x96x5", "96x96x5"}),
        ({}, {"resolution": 96, "aspect_bucket_alignment": 16}, {"128x80x5", "96x96x5"}),
    ],
)
def test_a_datasets_own_size_wins_over_the_common_one(
    clips: Path, own: dict[str, Any], common: dict[str, Any], buckets: set[str]
) -> None:
    manifest = manifest_of(VideoDataset(**keys(clips, **own)), **common)
    assert {str(sample.placement.bucket) for sample in samples_of(manifest.trained)} == buckets


@pytest.mark.parametrize(
    ("own", "common", "used"),
    [(None, 0, 3), (None, 110, 2), (0, 110, 3), (110, 0, 2)],
)
def test_a_datasets_own_least_size_wins_over_the_common_one(
    clips: Path, own: float | None, common: float, used: int
) -> None:
    # 160 x 96 has as many pixels as a square of 123.9; 100 x 96 as one of 98.
    manifest = manifest_of(VideoDataset(**keys(clips, minimum_image_size=own)), minimum_image_size=common)
    assert len(samples_of(manifest.trained)) == used


def test_the_quarantine_lists_what_cannot_be_read_and_nothing_else(tmp_path: Path, clips: Path) -> None:
    place = tmp_path / "run/quarantine.jsonl"
    (clips / "bröken.mp4").write_bytes(b"no video" * 40)
    (clips / "bröken.txt").write_text("a clip")
    manifest = manifest_of(VideoDataset(**keys(clips, minimum_image_size=110)))
    assert len(samples_of(manifest.rows)) == 2, "one is too small, one is unreadable"
    write_quarantine(manifest.rows, place)
    (line,) = place.read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "path": str(clips / "bröken.mp4"),
        "dataset": "clips",
        "reason": manifest.trained[2].reason.removeprefix("unreadable: "),
    }
    assert manifest.trained[2].path.stem == "bröken"
    assert (clips / "bröken.mp4").exists()


def test_when_all_can_be_read_again_the_quarantine_is_gone(tmp_path: Path, clips: Path) -> None:
    place = tmp_path / "quarantine.jsonl"
    write_quarantine([ManifestRow(Path("a.mp4"), None, f"{UNREADABLE}: empty file", "clips")], place)
    assert place.exists()
    write_quarantine(manifest_of(VideoDataset(**keys(clips))).rows, place)
    assert not place.exists()


def test_a_name_that_is_not_utf_8_can_be_listed(tmp_path: Path) -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    write_quarantine([ManifestRow(Path(name), None, f"{UNREADABLE}: empty file", "clips")], tmp_path / "q.jsonl")
    assert json.loads((tmp_path / "q.jsonl").read_text(encoding="utf-8"))["path"] == name


def test_captions_are_filtered_as_the_text_store_says(clips: Path) -> None:
    (clips / "a.txt").write_text("a photo of a cat")
    manifest = manifest_of(VideoDataset(**keys(clips)))
    assert [sample.captions for sample in samples_of(manifest.trained)] == [("a cat",), ("a clip",), ("a clip",)]


def test_random_windows_follow_the_seed_and_nothing_else(clips: Path) -> None:
    dataset = VideoDataset(**keys(clips, video=VideoOptions(num_frames=5, frame_selection="random")))

    def starts(**options: Any) -> list[int]:
        rows = samples_of(manifest_of(dataset, **options).trained)
        return [sample.placement.frame_indices[0] for sample in rows]

    assert starts(seed=1) == starts(seed=1)
    assert len({tuple(starts(seed=seed)) for seed in range(5)}) > 1


def test_a_table_lists_the_files_and_their_captions(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "list.csv").write_text("path,caption\na.mp4,one\nsquare.mp4,\nnone.mp4,three\n")
    places: dict[str, Any] = keys(clips) | {
        "type": "csv",
        "csv_file": str(tmp_path / "list.csv"),
        "caption_strategy": "csv",
    }
    rows = manifest_of(VideoDataset(**places, allow_missing_captions=True)).trained
    assert {row.path.name: row.reason.partition(":")[0] for row in rows} == {
        "a.mp4": "",
        "square.mp4": "no caption",
        "none.mp4": rows[-1].reason.partition(":")[0],
    }
    assert rows[-1].sample is None
    assert rows[0].sample
    assert rows[0].sample.captions == ("one",)


def test_a_picture_is_measured_like_a_clip(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "stills").mkdir()
    Image.fromarray(indexed_frames(1, width=160, height=96)[0]).save(tmp_path / "stills/still.png")
    (tmp_path / "stills/still.txt").write_text("a still")
    add_clip(tmp_path / "stills", "clip")
    measured = EvalDataset(**keys(tmp_path / "stills"))
    rows = manifest_of(VideoDataset(**keys(clips)), held_out=(measured,), **MEASURED).held_out
    frames = {sample.file.name: sample.placement.bucket.frames for sample in samples_of(rows)}
    assert frames == {"clip.mp4": 5, "still.png": 1}
    assert all(row.held_out for row in rows)


SPLIT = {**MEASURED, "eval_split": 0.4}


def test_a_file_is_trained_or_held_out_and_never_both(clips: Path) -> None:
    whole = manifest_of(VideoDataset(**keys(clips)))
    manifest = manifest_of(VideoDataset(**keys(clips)), **SPLIT)
    held_out = held_out_names(["a.mp4", "b.mp4", "square.mp4"], 0.4)
    assert {sample.file.name for sample in samples_of(manifest.held_out)} == held_out
    assert sorted([*names(manifest.trained), *names(manifest.held_out)]) == names(whole.trained)
    assert {row.dataset_id for row in manifest.held_out} == {"clips"}
    assert [row.held_out for row in manifest.rows] == [False] * len(manifest.trained) + [True] * len(held_out)


@pytest.mark.parametrize("selection", ["slide", "random", "uniform"])
def test_of_a_held_out_file_the_first_window_alone_is_measured_with_every_seed(clips: Path, selection: Any) -> None:
    video = VideoOptions(num_frames=5, frame_selection=selection, windows=2)
    dataset = VideoDataset(**keys(clips, video=video, crop=True, crop_style="random"))
    manifests = [manifest_of(dataset, **SPLIT, seed=seed) for seed in range(3)]
    placements = [[sample.placement for sample in samples_of(one.held_out)] for one in manifests]
    assert placements[0] == placements[1] == placements[2]
    assert all(placement.frame_indices == (0, 1, 2, 3, 4) for placement in placements[0])
    trained = {sample.file.name for sample in samples_of(manifests[0].trained)}
    assert not trained & {sample.file.name for sample in samples_of(manifests[0].held_out)}
    assert len(samples_of(manifests[0].trained)) == 2 * len(trained), "what is trained keeps its windows"


def test_pictures_that_are_trained_are_split_too(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for name in "abcd":
        Image.fromarray(indexed_frames(1, width=96, height=96)[0]).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("a still")
    places = {name: value for name, value in keys(folder).items() if name != "video"}
    manifest = manifest_of(ImageDataset(**places), **SPLIT)  # pyright: ignore[reportArgumentType]
    assert names(manifest.held_out)
    assert len(names(manifest.trained)) + len(names(manifest.held_out)) == 4


def test_regularisation_data_is_not_split(tmp_path: Path, clips: Path) -> None:
    for name in "xyz":
        add_clip(tmp_path / "priors", name)
    priors = VideoDataset(**keys(tmp_path / "priors", is_regularisation_data=True))
    manifest = manifest_of(VideoDataset(**keys(clips)), priors, **SPLIT)
    assert {row.dataset_id for row in manifest.held_out} == {"clips"}


def test_what_is_beyond_the_number_of_measured_clips_is_held_out_all_the_same(clips: Path) -> None:
    for name in "cdefgh":
        add_clip(clips, name)
    manifest = manifest_of(VideoDataset(**keys(clips)), **SPLIT, num_eval_images=1)
    held_out = held_out_names([f"{path.stem}.mp4" for path in clips.glob("*.mp4")], 0.4)
    assert len(manifest.held_out) == len(held_out) > 1
    assert len(samples_of(manifest.held_out)) == 1
    assert not {row.path.name for row in manifest.trained} & held_out


def test_a_single_file_cannot_be_split(tmp_path: Path) -> None:
    add_clip(tmp_path / "one", "only")
    with pytest.raises(DataError, match="eval_split is 0.4 and no file is held out"):
        manifest_of(VideoDataset(**keys(tmp_path / "one")), **SPLIT)


def test_one_dataset_alone_is_split_where_it_is_named(tmp_path: Path, clips: Path) -> None:
    for name in "xyz":
        add_clip(tmp_path / "more", name)
    datasets = (VideoDataset(**keys(clips)), VideoDataset(**keys(tmp_path / "more")))
    manifest = manifest_of(*datasets, **SPLIT, eval_dataset_id="more")
    assert {row.dataset_id for row in manifest.held_out} == {"more"}
    assert len([row for row in manifest.trained if row.dataset_id == "clips"]) == 3
