"""What nobody needs is told apart from what somebody needs, and only that goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reeltune.cache import collect, references
from reeltune.cache.collect import contents_of, remove_orphans
from reeltune.cache.entries import entry_files, remove_stale_drafts
from reeltune.cache.references import User, read_references, write_reference
from reeltune.cache.store import TensorStore

KEYS = [f"{number:032x}" for number in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    store = TensorStore(tmp_path / "cache")
    for key in KEYS:
        store.write(key, torch.zeros(4))
    return store


def user(tmp_path: Path, name: str) -> User:
    file = tmp_path / f"{name}.json"
    file.touch()
    return User((file,), tmp_path / name)


def keys_there(store: TensorStore) -> list[str]:
    return sorted(entry.key for entry in entry_files(store.folder))


def test_what_any_configuration_needs_stays_and_the_rest_goes(store, tmp_path) -> None:
    write_reference(store.folder, user(tmp_path, "a"), KEYS[:2])
    write_reference(store.folder, user(tmp_path, "b"), [*KEYS[1:3], "f" * 32])
    contents = contents_of(store.folder)
    assert (len(contents.entries), len(contents.orphans), contents.missing) == (6, 3, 1)
    assert len(remove_orphans(contents)) == 3
    assert keys_there(store) == KEYS[:3]


def test_a_configuration_that_changed_its_mind_needs_only_what_it_needs_now(store, tmp_path) -> None:
    write_reference(store.folder, user(tmp_path, "a"), KEYS[:4])
    write_reference(store.folder, user(tmp_path, "a"), KEYS[3:])
    assert [entry.key for entry in contents_of(store.folder).orphans] == KEYS[:3]


def test_a_configuration_whose_file_is_gone_counts_no_more(store, tmp_path) -> None:
    for name, keys in (("a", KEYS[:1]), ("b", KEYS[1:])):
        write_reference(store.folder, user(tmp_path, name), keys)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for path in (store.folder / "references").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"process": int(dead.stdout)}), encoding="utf-8")
    (tmp_path / "b.json").unlink()
    contents = contents_of(store.folder)
    assert [reference.output_dir.name for reference in contents.gone] == ["b"]
    remove_orphans(contents)
    assert keys_there(store) == KEYS[:1]
    assert len(read_references(store.folder)) == 1


def test_what_a_running_process_wrote_down_for_the_same_configuration_is_kept(store, tmp_path, monkeypatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setattr(references.os, "getpid", lambda: other.pid)
        write_reference(store.folder, user(tmp_path, "a"), KEYS[:3])
        monkeypatch.undo()
        write_reference(store.folder, user(tmp_path, "a"), KEYS[3:4])
        assert [entry.key for entry in contents_of(store.folder).orphans] == KEYS[4:]
        other.communicate(b"\n")


def test_what_a_run_needs_that_starts_while_orphans_are_removed_stays(store, tmp_path, monkeypatch) -> None:
    write_reference(store.folder, user(tmp_path, "a"), KEYS[:1])
    contents, real, removed = contents_of(store.folder), Path.unlink, []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        real(self, missing_ok=missing_ok)
        if self.suffix == ".safetensors" and not removed:
            removed.append(self)
            write_reference(store.folder, user(tmp_path, "b"), KEYS[3:])

    monkeypatch.setattr(Path, "unlink", unlink)
    assert [entry.key for entry in remove_orphans(contents)] == KEYS[1:3]
    assert keys_there(store) == [KEYS[0], *KEYS[3:]]
    assert collect.contents_of(store.folder).orphans == ()


def test_drafts_go_when_nobody_writes_them_any_more(store) -> None:
    shard = store.path(KEYS[0]).parent
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    drafts = {
        f".x.{int(dead.stdout)}.writing": 120,  # its process is gone
        f".y.{int(dead.stdout)}.writing": 1,  # its process may be one of another machine
        f".z.{os.getpid()}.writing": 120,  # its process is here
        f".w.{os.getpid()}.writing": 4000,  # its number belongs to another one now
    }
    for name, age_s in drafts.items():
        for folder in (shard, store.folder):
            path = folder / name
            path.touch()
            written = path.stat().st_mtime - age_s
            os.utime(path, (written, written))
    assert remove_stale_drafts(store.folder) == 4
    assert sorted(path.name[1] for path in shard.glob(".*")) == ["y", "z"]
    assert keys_there(store) == KEYS


def test_drafts_of_fetched_files_go_after_an_hour_and_what_was_fetched_stays(store) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    fetched = store.folder / "fetched/00ff"
    fetched.mkdir(parents=True)
    (fetched / "clip.mp4").touch()
    for name, age_s in (("old", 4000), ("new", 120)):
        for folder in (fetched, fetched.parent):
            path = folder / f".{name}.{int(dead.stdout)}.writing"
            path.touch()
            written = path.stat().st_mtime - age_s
            os.utime(path, (written, written))
    assert len(contents_of(store.folder).drafts) == 2
    assert remove_stale_drafts(store.folder) == 2
    assert sorted(path.name[:4] for path in fetched.iterdir()) == [".new", "clip"]


def test_other_files_of_the_folder_are_no_entries(store, tmp_path) -> None:
    fetched = store.folder / "fetched/00ff"
    fetched.mkdir(parents=True)
    for path in (fetched / "clip.mp4", store.folder / "contents.json", store.path(KEYS[0]).parent / "notes.txt"):
        path.touch()
    write_reference(store.folder, user(tmp_path, "a"), [])
    assert len(remove_orphans(contents_of(store.folder))) == 6
    assert (fetched / "clip.mp4").exists()
    assert (store.folder / "contents.json").exists()
    assert contents_of(tmp_path / "nowhere").entries == ()
