"""Looking at many files: in order, within a time limit, without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from helpers.clips import indexed_frames
from reeltune.contracts.clip import ClipInfo, FileRef
from reeltune.data import inspectors as module
from reeltune.data.inspection import inspect
from reeltune.data.memory import ClipMemory
from reeltune.data.probe import probe
from reeltune.errors import DataError, UnreadableFile
from reeltune.media import write_mp4

# A reader in the place of the real one, by the file's content: what damaged files do to decoders, at will.
BEHAVIOUR = """
import os, signal, sys, time
from pathlib import Path
from reeltune.data import inspection_worker as worker
real = worker.probe
def probe(path):
    content = path.read_bytes()[:8]
    if content == b"hang....": time.sleep(600)
    if content == b"crash...": os.kill(os.getpid(), signal.SIGSEGV)
    if content == b"odd.....": raise RuntimeError("something unforeseen")
    return real(path)
worker.probe = probe
from multiprocessing.connection import Connection
signal.signal(signal.SIGINT, signal.SIG_IGN)
with Connection(int(sys.argv[-1])) as asked:
    worker.serve(asked)
"""


@pytest.fixture
def bad_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-P", "-c", BEHAVIOUR))


def ref(path: Path) -> FileRef:
    status = path.stat()
    return FileRef(path, status.st_size, status.st_mtime_ns)


def clips(folder: Path, count: int) -> list[FileRef]:
    for index in range(count):
        write_mp4(folder / f"{index:02}.mp4", indexed_frames(index + 1), fps=24.0)
    return [ref(path) for path in sorted(folder.glob("*.mp4"))]


def here(file: FileRef) -> Path:
    return file.path


def not_fetched(file: FileRef) -> Path:
    raise AssertionError(file)


OTHERS: set[psutil.Process] = set()
"""Processes of other tests, such as a server that a whole session shares."""


@pytest.fixture(autouse=True)
def _others_are_not_ours() -> None:
    OTHERS.clear()
    OTHERS.update(psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process not in OTHERS]


def look(files: list[FileRef], folder: Path, **others: float) -> Generator[ClipInfo | UnreadableFile, None, None]:
    return inspect(files, memory=ClipMemory(folder / "clips.json"), fetch=here, **others)


def test_what_is_found_is_what_a_look_from_here_finds_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = clips(tmp_path, 20)
    assert list(look(files[::-1], tmp_path)) == [probe(file.path) for file in files[::-1]]
    assert children() == []


def test_what_is_remembered_is_not_looked_at(tmp_path: Path) -> None:
    files = clips(tmp_path, 3)
    memory = ClipMemory(tmp_path / "clips.json")
    first = list(inspect(files[:2], memory=memory, fetch=here))
    files[0].path.write_bytes(b"no longer a clip")
    fetched: list[FileRef] = []

    def fetch(file: FileRef) -> Path:
        fetched.append(file)
        return file.path

    found = list(inspect(files, memory=memory, fetch=fetch))
    assert found[:2] == first
    assert fetched == files[2:]
    assert list(inspect(files, memory=memory, fetch=not_fetched)) == found


@pytest.mark.usefixtures("bad_decoder")
def test_a_file_that_hangs_or_crashes_a_decoder_costs_only_itself(tmp_path: Path) -> None:
    clips(tmp_path, 10)
    for name, content in (("02", b"hang...."), ("04", b"crash..."), ("06", b"odd....."), ("07", b"crash...")):
        (tmp_path / f"{name}.mp4").write_bytes(content)
    files = [ref(path) for path in sorted(tmp_path.glob("*.mp4"))]
    found = list(look(files, tmp_path, limit_s=1.0))
    reasons = {index: info.reason for index, info in enumerate(found) if isinstance(info, UnreadableFile)}
    assert list(reasons) == [2, 4, 6, 7]
    assert reasons[2].startswith("takes longer than 1 s to read; ")
    assert reasons[4] == reasons[7]
    assert reasons[4].startswith("its decoder crashed; ")
    assert [index for index in reasons if isinstance(found[index], module.HungOrCrashed)] == [2, 4, 7]
    assert reasons[6].startswith("cannot be read: RuntimeError: something unforeseen; ")
    assert [info.frames for info in found if isinstance(info, ClipInfo)] == [1, 2, 4, 6, 9, 10]
    assert children() == []


@pytest.mark.usefixtures("bad_decoder")
def test_looking_no_further_leaves_no_process(tmp_path: Path) -> None:
    files = clips(tmp_path, 3)
    (tmp_path / "x.mp4").write_bytes(b"hang....")
    found = look([*files, *[ref(tmp_path / "x.mp4")] * 20], tmp_path)
    assert isinstance(next(found), ClipInfo)
    assert children() != []
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 5
    assert children() == []


def test_a_file_from_elsewhere_is_fetched_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    write_mp4(tmp_path / "fetched.mp4", indexed_frames(5), fps=24.0)
    files = [FileRef(tmp_path / "not yet", 0, 0, url=f"s3://clips/{name}.mp4", version="1") for name in "abc"]

    def fetch(file: FileRef) -> Path:
        if "b.mp4" in file.url:
            raise UnreadableFile(file.path, "not found; upload it")
        return tmp_path / "fetched.mp4"

    found = list(inspect(files, memory=ClipMemory(tmp_path / "clips.json"), fetch=fetch))
    assert [info.reason if isinstance(info, UnreadableFile) else info.frames for info in found] == [
        5,
        "not found; upload it",
        5,
    ]


def test_a_place_that_is_gone_ends_the_look(tmp_path: Path) -> None:
    def fetch(file: FileRef) -> Path:
        raise DataError("the bucket is gone")

    with pytest.raises(DataError, match="the bucket is gone"):
        list(inspect(clips(tmp_path, 2), memory=ClipMemory(tmp_path / "clips.json"), fetch=fetch))
    assert children() == []


def test_a_local_file_that_is_no_longer_the_listed_one_is_not_used(tmp_path: Path) -> None:
    files = clips(tmp_path, 2)
    os.utime(files[1].path, ns=(1, 1))
    memory = ClipMemory(tmp_path / "clips.json")
    found = list(inspect(files, memory=memory, fetch=here))
    assert isinstance(found[0], ClipInfo)
    assert isinstance(found[1], UnreadableFile)
    assert found[1].reason.startswith("changed while being read; ")
    assert memory.recall(files[1]) is None


def test_no_process_at_all_is_an_error_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(DataError, match=r"no process could be started to look at clips; `.*` shows why"):
        list(look(clips(tmp_path, 1), tmp_path))


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_never_ends_is_never_opened(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "a.mp4")
    began = time.monotonic()
    (found,) = look([ref(tmp_path / "a.mp4")], tmp_path, limit_s=20.0)
    assert time.monotonic() - began < 15
    assert isinstance(found, UnreadableFile)
    assert found.reason == f"not a regular file but {kind}; move it out of the dataset"


INTERRUPTED = """
import sys, os
from pathlib import Path
from reeltune.contracts.clip import FileRef
from reeltune.data import inspectors
from reeltune.data.inspection import inspect
from reeltune.data.memory import ClipMemory
inspectors.COMMAND = (sys.executable, "-P", "-c", sys.argv[2])
path = Path(sys.argv[1])
file = FileRef(path, path.stat().st_size, path.stat().st_mtime_ns)
print("looking", flush=True)
list(inspect([file] * 30, memory=ClipMemory(Path("nowhere")), fetch=lambda file: file.path))
"""


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"hang....")
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "x.mp4"), BEHAVIOUR]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as run:
        assert run.stdout
        run.stdout.readline()
        workers: list[psutil.Process] = []
        while not workers:
            workers = psutil.Process(run.pid).children()
            time.sleep(0.05)
        time.sleep(0.5)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert psutil.wait_procs(workers, timeout=5)[1] == []
