"""A file's bytes are read once, and again exactly when it may be another file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from reeltune.cache.contents import ContentFingerprints
from reeltune.contracts.clip import FileRef


class Reads:
    """Counts the files whose bytes are asked for."""

    def __init__(self) -> None:
        self.files: list[Path] = []

    def __call__(self, file: FileRef) -> Path:
        self.files.append(file.path)
        return file.path


def listed(path: Path, root: Path) -> FileRef:
    status = path.stat()
    return FileRef(path, status.st_size, status.st_mtime_ns, name=path.relative_to(root).as_posix())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clips/a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


def looked_at(memory: Path, file: FileRef) -> tuple[str, int]:
    """Return the fingerprint, as another start finds it, and how many files it took."""
    reads, fingerprints = Reads(), ContentFingerprints(memory)
    content = fingerprints.of(file, reads)
    fingerprints.save()
    return content, len(reads.files)


def test_a_changed_file_has_another_fingerprint_and_an_unchanged_one_is_not_read_again(clip, tmp_path) -> None:
    memory, root = tmp_path / "cache/contents.json", clip.parent
    first, reads = looked_at(memory, listed(clip, root))
    assert reads == 1
    assert looked_at(memory, listed(clip, root)) == (first, 0)
    clip.write_bytes(b"two")
    os.utime(clip, ns=(5, 5))
    second, reads = looked_at(memory, listed(clip, root))
    assert (second != first, reads) == (True, 1)
    # Touched only: read again, and the same.
    os.utime(clip, ns=(9, 9))
    assert looked_at(memory, listed(clip, root)) == (second, 1)


def test_a_folder_that_was_moved_or_copied_with_its_times_is_not_read_again(clip, tmp_path) -> None:
    memory = tmp_path / "cache/contents.json"
    first, _ = looked_at(memory, listed(clip, clip.parent))
    moved = tmp_path / "elsewhere"
    shutil.move(clip.parent, moved)
    assert looked_at(memory, listed(moved / "a.mp4", moved)) == (first, 0)


def test_another_folder_with_the_same_names_sizes_and_times_is_read(clip, tmp_path) -> None:
    memory, other = tmp_path / "cache/contents.json", tmp_path / "other/a.mp4"
    first, _ = looked_at(memory, listed(clip, clip.parent))
    other.parent.mkdir()
    other.write_bytes(b"two")
    shutil.copystat(clip, other)
    second, reads = looked_at(memory, listed(other, other.parent))
    assert (second != first, reads) == (True, 1)


def test_a_file_of_another_place_is_told_by_its_version(clip, tmp_path) -> None:
    memory = tmp_path / "cache/contents.json"
    url, fingerprints, reads = "https://example.org/a.mp4", ContentFingerprints(memory), Reads()
    first = FileRef(clip, 3, 0, url=url, version="v1", name=url)
    content = fingerprints.of(first, reads)
    assert fingerprints.of(FileRef(tmp_path / "gone.mp4", 3, 7, url=url, version="v1", name=url), reads) == content
    clip.write_bytes(b"two")
    assert fingerprints.of(FileRef(clip, 3, 0, url=url, version="v2", name=url), reads) != content
    assert len(reads.files) == 2


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 1, "files": [{"origin": 1}]}', '{"a.mp4": [3, 1, "x"]}']
)
def test_a_memory_that_is_damaged_or_old_is_none(clip, tmp_path, content: str) -> None:
    memory = tmp_path / "contents.json"
    memory.write_text(content, encoding="utf-8")
    assert looked_at(memory, listed(clip, clip.parent))[1] == 1
    assert looked_at(memory, listed(clip, clip.parent))[1] == 0


def test_a_folder_that_cannot_be_written_hides_no_other_failure(clip, tmp_path, caplog) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with caplog.at_level("INFO", logger="reeltune"):
        assert looked_at(tmp_path / "cache/contents.json", listed(clip, clip.parent))[1] == 1
    assert caplog.records == []
