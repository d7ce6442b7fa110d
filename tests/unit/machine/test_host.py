"""The machine itself: its memory, within the limits of a container, and its disks."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from reeltune.machine.host import find_host, free_bytes, nearest_existing


def test_without_a_limit_the_machine_s_own_memory_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    for place in (tmp_path, tmp_path / "none"):
        host = find_host(place)
        assert host.ram_bytes == psutil.virtual_memory().total
        assert host.cpus >= 1


def test_a_container_s_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("300000\n")
    host = find_host(tmp_path)
    assert (host.ram_bytes, host.available_bytes) == (1_000_000, 700_000)


def test_a_folder_that_is_yet_to_be_made_has_its_parent_s_room(tmp_path: Path) -> None:
    assert nearest_existing(tmp_path / "a/b/c") == tmp_path
    assert free_bytes(tmp_path / "a/b/c") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.01)
