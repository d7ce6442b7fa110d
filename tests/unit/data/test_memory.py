"""A clip is looked at once, until it changes; what is remembered of it is what was seen, to the last bit."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from helpers.clips import even_times, indexed_frames, write_clip
from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.data.memory import VERSION, ClipMemory
from reeltune.data.probe import probe
from reeltune.errors import UnreadableFile

KEY = ["clips", str(VERSION)]
SEEN: list[Path] = []


@pytest.fixture
def looked_at() -> list[Path]:
    """The files that were really looked at, in order."""
    SEEN.clear()
    return SEEN


def look(memory: ClipMemory, file: FileRef) -> ClipInfo:
    """Ask the memory first and the file where it knows nothing, as an inspection does."""
    known = memory.recall(file)
    if known is not None:
        return known
    SEEN.append(file.path)
    info = probe(file.path)
    memory.keep(file, info)
    return info


def ref(path: Path) -> FileRef:
    status = path.stat()
    return FileRef(path, status.st_size, status.st_mtime_ns)


def clip_at(folder: Path, *, frames: int = 12) -> Path:
    """Write a clip of 29.97 frames a second, whose times are no short decimals."""
    path = folder / "a.mp4"
    write_clip(path, indexed_frames(frames), even_times(frames, Fraction(30_000, 1001)))
    return path


def test_what_is_remembered_is_what_was_seen_bit_for_bit(tmp_path: Path, looked_at: list[Path]) -> None:
    clip, place = clip_at(tmp_path), tmp_path / "cache/clips.json"
    first = ClipMemory(place)
    seen = look(first, ref(clip))
    first.save()
    remembered = look(ClipMemory(place), ref(clip))
    assert looked_at == [clip]
    assert remembered == seen == probe(clip)
    assert [time.hex() for time in remembered.times_s] == [time.hex() for time in seen.times_s]
    assert any(time != round(time, 6) for time in seen.times_s), "short decimals would survive any way of writing"


def test_every_number_survives(tmp_path: Path) -> None:
    times = (0.0, 5e-324, 0.1, math.nextafter(0.1, 1), 1 / 3, 1e300)
    info = ClipInfo(192, 108, times, end_s=math.nextafter(1e300, math.inf))
    file = FileRef(tmp_path / "a.mp4", 1, 1)
    memory = ClipMemory(tmp_path / "clips.json")
    memory.keep(file, info)
    memory.save()
    assert ClipMemory(tmp_path / "clips.json").recall(file) == info


def test_a_file_from_elsewhere_is_known_by_its_address_and_version(tmp_path: Path) -> None:
    info = ClipInfo(192, 108, (0.0,), end_s=1.0)
    file = FileRef(tmp_path / "fetched.mp4", 0, 0, url="s3://clips/a.mp4", version="etag1")
    memory = ClipMemory(tmp_path / "clips.json")
    memory.keep(file, info)
    assert memory.recall(replace(file, path=tmp_path / "other.mp4", mtime_ns=7)) == info
    assert memory.recall(replace(file, version="etag2")) is None
    assert memory.recall(replace(file, url="s3://clips/b.mp4")) is None


def test_a_clip_is_looked_at_once_in_a_run_even_without_a_file(tmp_path: Path, looked_at: list[Path]) -> None:
    memory, clip = ClipMemory(tmp_path / "clips.json"), clip_at(tmp_path)
    assert look(memory, ref(clip)) == look(memory, ref(clip))
    assert looked_at == [clip]


def test_a_clip_that_changed_is_looked_at_again(tmp_path: Path, looked_at: list[Path]) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    file = ref(clip)
    for changed in (
        file,
        FileRef(clip, file.size_bytes, file.mtime_ns + 1),
        FileRef(clip, file.size_bytes + 1, file.mtime_ns + 1),
        FileRef(clip, file.size_bytes + 1, file.mtime_ns + 1),
    ):
        memory = ClipMemory(place)
        look(memory, changed)
        memory.save()
    assert len(looked_at) == 3, "the last one is as it was"


def test_another_content_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "clips.json"
    for frames in (12, 20):
        clip = clip_at(tmp_path, frames=frames)
        memory = ClipMemory(place)
        assert look(memory, ref(clip)).frames == frames
        memory.save()


def test_one_file_is_one_clip_by_whatever_path(
    tmp_path: Path, looked_at: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_at(tmp_path)
    memory = ClipMemory(tmp_path / "clips.json")
    look(memory, ref(clip))
    monkeypatch.chdir(tmp_path)
    look(memory, ref(Path("a.mp4")))
    assert looked_at == [clip]


def test_a_link_to_itself_is_no_clip_that_is_known(tmp_path: Path) -> None:
    link = tmp_path / "a.mp4"
    link.symlink_to(link)
    assert ClipMemory(tmp_path / "clips.json").recall(FileRef(link, 1, 1, name="a.mp4")) is None


def test_a_name_that_is_not_utf_8_is_remembered(tmp_path: Path, looked_at: list[Path]) -> None:
    place = tmp_path / "clips.json"
    clip = clip_at(tmp_path).rename(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    for _ in range(2):
        memory = ClipMemory(place)
        assert look(memory, ref(clip)).frames == 12
        memory.save()
    assert looked_at == [clip]


def test_a_file_that_cannot_be_read_is_looked_at_again(tmp_path: Path, looked_at: list[Path]) -> None:
    place, clip = tmp_path / "clips.json", tmp_path / "broken.mp4"
    clip.write_bytes(b"no video")
    for _ in range(2):
        memory = ClipMemory(place)
        with pytest.raises(UnreadableFile):
            look(memory, ref(clip))
        memory.save()
    assert looked_at == [clip, clip]


def test_a_file_that_was_mended_is_read(tmp_path: Path) -> None:
    place, broken = tmp_path / "clips.json", tmp_path / "a.mp4"
    broken.write_bytes(b"no video" * 40)
    memory = ClipMemory(place)
    with pytest.raises(UnreadableFile):
        look(memory, ref(broken))
    memory.save()
    clip_at(tmp_path)
    assert look(ClipMemory(place), ref(broken)).frames == 12


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        json.dumps({"key": KEY}),
        json.dumps({"key": KEY, "digest": "", "content": None}),
        json.dumps({"key": KEY, "digest": "", "content": []}),
        b"\xff\xfe",
    ],
)
def test_a_damaged_memory_is_none(tmp_path: Path, looked_at: list[Path], content: str | bytes) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    memory = ClipMemory(place)
    assert look(memory, ref(clip)).frames == 12
    memory.save()
    look(ClipMemory(place), ref(clip))
    assert looked_at == [clip], "it was written anew, whole"


@pytest.mark.parametrize(
    "damage",
    [
        {"times": "%%%"},
        {"times": "eJw="},
        {"times": None},
        {"width": "wide"},
        {"stamp": None},
        {"end_s": None},
    ],
    ids=str,
)
def test_a_damaged_entry_is_looked_at_again(tmp_path: Path, damage: dict[str, object]) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    _remember(place, clip)
    content = json.loads(place.read_text())
    content["content"][str(clip)] |= damage
    place.write_text(json.dumps(content))
    assert look(ClipMemory(place), ref(clip)) == probe(clip)


@pytest.mark.parametrize("key", ["stamp", "width", "height", "times", "end_s"])
def test_an_entry_that_lacks_something_is_looked_at_again(tmp_path: Path, key: str) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    _remember(place, clip)
    content = json.loads(place.read_text())
    del content["content"][str(clip)][key]
    place.write_text(json.dumps(content))
    assert look(ClipMemory(place), ref(clip)) == probe(clip)


def test_what_another_version_saw_does_not_count(tmp_path: Path, looked_at: list[Path]) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    _remember(place, clip)
    content = json.loads(place.read_text())
    place.write_text(json.dumps(content | {"key": ["clips", str(VERSION + 1)]}))
    look(ClipMemory(place), ref(clip))
    assert looked_at == [clip, clip]


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    place, clip = tmp_path / "clips.json", clip_at(tmp_path)
    ClipMemory(place).save()
    assert not place.exists()
    _remember(place, clip)
    os.utime(place, ns=(1, 1))
    _remember(place, clip)
    assert place.stat().st_mtime_ns == 1


def test_a_folder_that_cannot_be_written_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # A file in the folder's place: permissions would not stop root, who runs these tests in a container.
    (tmp_path / "cache").write_text("")
    with caplog.at_level(logging.INFO, logger="reeltune"):
        memory, clip = ClipMemory(tmp_path / "cache/clips.json"), clip_at(tmp_path)
        assert look(memory, ref(clip)).frames == 12
        memory.save()
    assert caplog.records == []


def _remember(place: Path, clip: Path) -> None:
    memory = ClipMemory(place)
    look(memory, ref(clip))
    memory.save()
