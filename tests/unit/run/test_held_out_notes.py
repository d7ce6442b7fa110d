"""What is said of clips that are held out: how many are measured, and which are trained too."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from reeltune.config.datasets import Datasets, TextEmbeds, VideoDataset
from reeltune.config.load import load_config
from reeltune.config.root import Config
from reeltune.contracts.clip import Bucket, ClipInfo, FileRef, Manifest, ManifestRow, Placement, Sample
from reeltune.contracts.notes import Note
from reeltune.data.hold_out import lot_of
from reeltune.errors import DataError
from reeltune.run.held_out_notes import SAMPLED_BYTES, held_out_notes, trained_too

FILMS = VideoDataset(id="films", instance_data_dir="in", cache_dir_vae="cache")
DATASETS = Datasets(trained=(FILMS,), text=TextEmbeds(id="t", cache_dir="text"))


def config_of(**options: Any) -> Config:
    needed = {"data_backend_config": "d.json", "output_dir": "o/x", "max_train_steps": 1}
    return load_config([], needed | {"eval_steps_interval": 5} | options)


def row(path: Path, *, held_out: bool = False, used: bool = True, url: str = "") -> ManifestRow:
    size = path.stat().st_size if path.exists() else 10
    file = FileRef(path, size, 0, url=url, name=path.name)
    placement = Placement(Bucket(32, 32, 1), (0,), 32, 32, 0, 0)
    sample = Sample("films", file, ClipInfo(32, 32, (0.0,), 1.0), placement, ("words",))
    return ManifestRow(path, sample if used else None, "" if used else "left out: why", "films", url, held_out=held_out)


def written(path: Path, content: bytes = b"clip") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def notes_of(trained: list[ManifestRow], held_out: list[ManifestRow], **options: Any) -> list[Note]:
    return held_out_notes(config_of(**options), DATASETS, Manifest(tuple(trained), tuple(held_out)))


def test_the_same_path_is_found_through_links(tmp_path: Path) -> None:
    clip = written(tmp_path / "clips/a.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    assert trained_too(Manifest((row(clip),), (row(tmp_path / "link/a.mp4"),))) == {
        str(tmp_path / "link/a.mp4"): str(clip)
    }


def test_copies_are_found_and_other_clips_are_not(tmp_path: Path) -> None:
    content = bytes(4 * SAMPLED_BYTES)
    clip, other = written(tmp_path / "a.mp4", content), written(tmp_path / "b.mp4", content[:-1] + b"x")
    copy = Path(shutil.copy(clip, tmp_path / "held.mp4"))
    shorter = written(tmp_path / "c.mp4", content[:-1])
    assert trained_too(Manifest((row(clip), row(other)), (row(copy),))) == {str(copy): str(clip)}
    assert trained_too(Manifest((row(other), row(shorter)), (row(copy),))) == {}


def test_clips_that_are_not_on_this_machine_are_compared_by_their_addresses(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    same = Manifest((row(here, url="s3://x/a"),), (row(there, url="s3://x/a"),))
    other = Manifest((row(here, url="s3://x/a"),), (row(there, url="s3://x/b"),))
    assert (list(trained_too(same)), list(trained_too(other))) == (["s3://x/a"], [])


def test_what_is_left_out_is_neither_trained_nor_measured(tmp_path: Path) -> None:
    clip = written(tmp_path / "a.mp4")
    assert trained_too(Manifest((row(clip, used=False),), (row(clip),))) == {}
    assert trained_too(Manifest((row(clip),), (row(clip, used=False),))) == {}


def test_files_that_are_trained_too_are_named_and_strict_refuses_them(tmp_path: Path) -> None:
    clip, copy = written(tmp_path / "a.mp4"), written(tmp_path / "copy.mp4")
    (note,) = notes_of([row(clip)], [row(copy)])
    assert note.kind == "trap"
    assert f"{copy}, which is {clip}" in note.text
    with pytest.raises(DataError, match=r"strict is true and clips that are measured.*1 problem\n.*copy\.mp4"):
        notes_of([row(clip)], [row(copy)], strict=True)


def test_a_long_list_of_copies_is_cut(tmp_path: Path) -> None:
    clips = [written(tmp_path / f"{number}.mp4", bytes([number])) for number in range(13)]
    (note,) = notes_of([row(clip) for clip in clips], [row(clip) for clip in clips])
    assert note.text.startswith("13 files are measured and trained too")
    assert "... and 3 more" in note.text


def test_a_split_says_how_many_files_are_held_out_and_how_many_are_measured(tmp_path: Path) -> None:
    clips = [written(tmp_path / f"{number}.mp4", bytes([number])) for number in range(8)]
    trained, held_out = [row(clip) for clip in clips[:6]], [row(clip, held_out=True) for clip in clips[6:]]
    (note,) = notes_of(trained, held_out, eval_split=0.25)
    assert (note.kind, note.about) == ("fact", "eval_split")
    assert note.text.startswith("2 of 8 files of films are held out and not trained")
    (short,) = notes_of(trained, held_out, eval_split=0.25, num_eval_images=1)
    assert short.kind == "trap"
    assert "num_eval_images lets only 1 of them be measured: set it to 2" in short.text
    (nothing,) = notes_of(trained[:1], [], eval_split=0.25)
    assert (nothing.kind, nothing.text) == ("trap", "nothing of films is held out: 1 of its files can be used")


def test_a_split_says_whether_the_same_files_stay_held_out(tmp_path: Path) -> None:
    clips = sorted((written(tmp_path / f"{n}.mp4", bytes([n])) for n in range(4)), key=lambda clip: lot_of(clip.name))
    low, high = lot_of(clips[0].name), lot_of(clips[1].name)
    trained, held_out = [row(clip) for clip in clips[1:]], [row(clips[0], held_out=True)]
    (lasting,) = notes_of(trained, held_out, eval_split=(low + high) / 2)
    assert lasting.text.endswith("held out and not trained, always the same ones")
    (lowest,) = notes_of(trained, held_out, eval_split=low / 2)
    assert lowest.text.endswith("and with so few files another one may be when files come or go")


def test_without_evaluation_nothing_is_said(tmp_path: Path) -> None:
    assert notes_of([row(written(tmp_path / "a.mp4"))], [], eval_steps_interval=0) == []
