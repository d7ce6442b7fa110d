"""`reeltune data ...`: what a person is shown of the data, and what a program reads of it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from helpers.clips import indexed_frames
from reeltune.cli.main import main
from reeltune.media import write_mp4


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips: good ones, a short one, one without a caption, one that breaks in the middle; and a lost text."""
    place = tmp_path_factory.mktemp("made")
    (place / "clips").mkdir()
    for index in range(7):
        _clip(place, f"good{index}", 40)
    _clip(place, "short", 3)
    _clip(place, "wordless", 20, caption="")
    _clip(place, "broken", 40)
    (place / "clips/lost.txt").write_text("a caption of nothing")
    (place / "clips/good0.txt").write_text("one\ntwo")
    content = bytearray((place / "clips/broken.mp4").read_bytes())
    # Time stamps are in the head and stay; what is shown is gone from the middle on.
    half = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[half:-1500] = b"\xff" * (len(content) - 1500 - half)
    (place / "clips/broken.mp4").write_bytes(content)
    return place


def _clip(place: Path, name: str, frames: int, *, caption: str = "a clip") -> None:
    write_mp4(place / f"clips/{name}.mp4", indexed_frames(frames, width=640, height=384), fps=16.0)
    (place / f"clips/{name}.txt").write_text(caption)


@pytest.fixture
def say(made: Path, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `reeltune data` in a folder of its own; keywords change the dataset of clips."""
    shutil.copytree(made / "clips", tmp_path / "clips")

    def run(*words: str, **changes: Any) -> Said:
        clips = {"id": "mine", "instance_data_dir": "clips", "video": {"num_frames": 17}, "resolution": 96} | changes
        text = {"id": "text", "dataset_type": "text_embeds", "caption_filter_list": ["s/clip/film/"]}
        (tmp_path / "data.json").write_text(json.dumps([clips, text]))
        config = {"data_backend_config": "data.json", "output_dir": "out", "max_train_steps": 1}
        model = {"pretrained_model_name_or_path": str(tiny_model)}
        (tmp_path / "config.json").write_text(json.dumps(config | model))
        with contextlib.chdir(tmp_path):
            status = main(["data", *words, "--config", "config.json"])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def test_the_manifest_says_what_becomes_of_every_file(say: Say) -> None:
    said = say("manifest", video={"num_frames": 17, "frame_selection": "slide"})
    assert said.status == 0, said.err
    lines = [line.strip() for line in said.out.splitlines()]
    assert "10 files: 8 used as 16 windows (once an epoch), 2 left out" in lines
    assert any(line.startswith("128 x 64 px x 17 frames") and line.endswith("17.0 s") for line in lines)
    assert "16 windows: 16.0 fps taken one to one: 17 frames = 1.06 s of source" in lines
    assert "1 left out: too short" in lines
    assert any(line.startswith("clips/wordless.mp4: write one into clips/wordless.txt") for line in lines)
    assert lines[-1] == "In all: 10 files, 8 used, 2 left out; 16 samples, 17.0 s of the source."


def test_programs_read_every_row(say: Say, tmp_path: Path) -> None:
    said = say("manifest", "--json", "--parquet", "rows.parquet")
    assert said.status == 0, said.err
    content = json.loads(said.out)
    assert content["datasets"] == {"mine": {"files": 10, "used": 8, "windows": 8}}
    assert len(content["rows"]) == 10
    assert {row["reason"].partition(":")[0] for row in content["rows"]} == {"", "too short", "no caption"}
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == content["rows"]
    assert [row["captions"] for row in content["rows"] if row["path"] == "clips/good0.mp4"] == [["one", "two"]]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("clips/rows.parquet", "clips is a dataset's folder"),
        ("clips", "is a folder"),
        ("config.json/rows", "another place"),
    ],
)
def test_a_table_is_not_written_among_clips_or_where_it_cannot_be(
    say: Say, tmp_path: Path, table: str, why: str
) -> None:
    before = sorted((tmp_path / "clips").iterdir())
    said = say("manifest", "--parquet", table)
    assert (said.status, "Traceback" in said.err) == (2, False)
    assert f"--parquet {table}" in said.err
    assert why in said.err
    assert sorted((tmp_path / "clips").iterdir()) == before


def test_all_that_is_left_out_is_named_where_that_is_asked_for(say: Say) -> None:
    few = {"video": {"num_frames": 33, "min_frames": 33}, "minimum_image_size": 4000}
    short = say("manifest", **few)
    assert short.out.count("clips/good") == 2
    assert "... and 5 more; --left-out names them" in short.out
    full = say("manifest", "--left-out", **few)
    assert all(f"clips/good{index}.mp4" in full.out for index in range(7))


def test_when_nothing_is_usable_the_table_is_shown_and_the_status_is_2(say: Say) -> None:
    said = say("manifest", minimum_image_size=4000)
    assert said.status == 2
    assert "10 files: 0 used (once an epoch), 10 left out" in said.out
    assert "Nothing can be trained." in said.out


def test_where_too_many_captions_are_missing_the_table_is_shown_before_it_is_refused(say: Say, tmp_path: Path) -> None:
    for index in range(5):
        (tmp_path / f"clips/good{index}.txt").unlink()
    said = say("manifest")
    assert said.status == 2
    assert "6 left out: no caption" in said.out
    assert "dataset mine: 6 of 10 clips have no caption, more than a tenth" in said.err


def test_decoding_finds_what_breaks_and_remembers_it(say: Say, tmp_path: Path) -> None:
    assert "mine: 0 files cannot be read" in say("quarantine").out
    said = say("manifest", "--decode")
    assert said.status == 0, said.err
    assert "10 files: 7 used (once an epoch), 3 left out" in said.out
    assert "clips/broken.mp4: damaged after frame" in said.out
    (tmp_path / "clips/good1.mp4").write_bytes(b"no video")
    listed = " ".join(say("quarantine").out.split())
    assert "mine: 2 files cannot be read" in listed
    assert re.search(r"clips/broken\.mp4: damaged after frame .* \(found \d{4}-\d\d-\d\dT", listed)
    assert "clips/good1.mp4: " in listed
    (tmp_path / "clips/good1.mp4").write_bytes((tmp_path / "clips/good2.mp4").read_bytes())
    assert "10 files: 7 used" in say("manifest").out, "it is left out from now on"
    assert "mine: 1 forgotten" in say("quarantine", "--clear").out
    assert "10 files: 8 used" in say("manifest").out


def test_captions_are_told_with_their_lengths(say: Say, tmp_path: Path) -> None:
    (tmp_path / "clips/good1.txt").write_text("a very long story " * 200)
    said = say("captions")
    assert said.status == 0, said.err
    text = " ".join(said.out.split())
    assert "mine: captions from text files beside the clips" in text
    assert "10 captions of 9 files, 1 with several" in text
    assert "7 files with captions that caption_filter_list changed" in text
    assert "1 is cut at the 512 that the model reads" in text
    assert "clips/good1.mp4: " in text
    assert "1 file without a caption, left out: clips/wordless.mp4: write one into clips/wordless.txt" in text
    assert "1 text file without a clip of that name: clips/lost.txt" in text


def test_the_users_folder_is_left_as_it_was(say: Say, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    for view in (("manifest", "--decode"), ("captions",), ("quarantine",)):
        say(*view)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()} == before
