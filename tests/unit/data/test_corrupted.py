"""Spoilt files among sound ones: none is used, each has a reason, none costs the run; memory stays flat."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.clips import whole_picture
from helpers.damage import write_damaged, write_good
from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.data.decode import decode
from reeltune.data.inspection import inspect
from reeltune.data.memory import ClipMemory
from reeltune.errors import UnreadableFile

GOOD, BAD = 20, 300

SCAN = """
import json, os, sys
from pathlib import Path
import psutil
from reeltune.contracts.clip import FileRef
from reeltune.data.inspection import inspect
from reeltune.data.memory import ClipMemory

def refs():
    for path in sorted(Path(sys.argv[1]).iterdir()):
        status = path.stat()
        yield FileRef(path, status.st_size, status.st_mtime_ns)

def used():
    here = psutil.Process()
    return [process.memory_info().rss / 2**20 for process in (here, *here.children())]

files = list(refs())
seen = []
for index, _ in enumerate(inspect(files, memory=ClipMemory(Path("nowhere")), fetch=lambda file: file.path)):
    if index in (len(files) // 4, len(files) - 1):
        seen.append(used())
print(json.dumps({"seen": seen, "torch": "torch" in sys.modules}))
"""


def ref(path: Path) -> FileRef:
    status = path.stat()
    return FileRef(path, status.st_size, status.st_mtime_ns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sound files among many spoilt ones."""
    place = tmp_path_factory.mktemp("clips")
    write_damaged(place, [write_good(place, index) for index in range(GOOD)], BAD)
    return place


def used(file: FileRef, found: ClipInfo | UnreadableFile) -> str:
    """Return the reason why a file is not trained; empty when all its frames can be."""
    if isinstance(found, UnreadableFile):
        return found.reason
    try:
        frames = decode(file.path, whole_picture(range(found.frames)))
    except UnreadableFile as error:
        return error.reason
    assert len(frames) == found.frames
    return ""


def test_spoilt_files_are_all_explained_and_sound_ones_all_used(folder: Path) -> None:
    files = [ref(path) for path in sorted(folder.iterdir())]
    assert len(files) == GOOD + BAD
    found = list(inspect(files, memory=ClipMemory(folder / "none.json"), fetch=lambda file: file.path))
    reasons = {file.path.name: used(file, info) for file, info in zip(files, found, strict=True)}
    assert {name for name, reason in reasons.items() if not reason} == {n for n in reasons if n.startswith("good")}
    assert all("; " in reason for name, reason in reasons.items() if name.startswith("bad")), "says what would help"


def test_memory_stays_flat_over_many_files(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCAN, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert not report["torch"], "a look at clips needs no torch"
    early, late = (max(sizes) for sizes in report["seen"])
    # What one picture needs may come late; 240 files that each left 0.2 MiB behind would show.
    assert late - early < 48, report["seen"]
    assert len(report["seen"][1]) > 1, "no process looked"
